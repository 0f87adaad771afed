#!/usr/bin/env bash
# One run on all GPUs of this machine.
#
#   launch/dgx/one_job.sh KEY=VALUE...
#
#   launch/dgx/one_job.sh experiment=pong
#   CUDA_VISIBLE_DEVICES=0,1,2,3 launch/dgx/one_job.sh experiment=pong    on some of them
#
# Without GPUs it is one run on the CPU. Ctrl-C once saves; the same command continues.
set -euo pipefail

case ${1:---help} in -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
if [ -f .venv/bin/activate ]; then source .venv/bin/activate; fi

exec python launch/train.py "$@" # hardware.learners is the number of GPUs by default
