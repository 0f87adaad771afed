#!/usr/bin/env bash
# The first quarter of an hour on a GPU: what works and how fast, the most telling first, one line
# for each result. Cut off at any time, its summary is whole.
#
#   launch/gpu_check.sh [--output DIR] [--budget SECONDS] [--device cuda|cpu] [--only STEP...]
#
#   launch/gpu_check.sh --output out             540 s in all: what does not fit is dropped
#   launch/gpu_check.sh --output out             once more: what is missing in out, or has failed
#   launch/gpu_check.sh --device cpu             a rehearsal without a GPU, everything small
#   launch/gpu_check.sh --prepare                before copying the code without its .git: the id of
#                                                its commit goes into .code_id, which git ignores
#
# DIR gets summary.txt, results.json, log.txt, score.csv and score.png.
set -euo pipefail

case ${1:-} in -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
folder=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "${1:-}" = --prepare ]; then
  git describe --always --abbrev=40 --dirty --exclude='*' > .code_id
  exec cat .code_id
fi
# shellcheck source=/dev/null
if [ -f .venv/bin/activate ]; then source .venv/bin/activate; fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python=$(command -v python || command -v python3)
program=$PWD/launch/benchmarks/gpu_check.py
cd "$folder" # where --output is meant from
exec "$python" "$program" "$@"
