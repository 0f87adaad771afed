#!/usr/bin/env bash
# All combinations of comma separated values, one run per GPU of this machine at a time.
#
#   launch/dgx/sweep.sh KEY=VALUE,VALUE...
#
#   launch/dgx/sweep.sh experiment=pong seed=0,1,2,3 algo.entropy_coef=0.01,0.003
#   CUDA_VISIBLE_DEVICES=0,1 launch/dgx/sweep.sh experiment=pong seed=0,1    on some of them
#
# Works without GPUs, too. Ctrl-C once saves every run; the same command continues them.
set -euo pipefail

case ${1:---help} in -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
if [ -f .venv/bin/activate ]; then source .venv/bin/activate; fi

exec python launch/train.py -m hydra/launcher=slots "$@"
