#!/usr/bin/env bash
# Send a job to SLURM, with the settings of site.sh.
#
#   launch/slurm/submit.sh [--sbatch-option=value ...] SCRIPT [KEY=VALUE ...]
#
#   submit.sh one_node experiment=pong                     one run on all GPUs of a node
#   submit.sh --nodes=4 several_nodes experiment=pong      one run on all GPUs of 4 nodes
#   submit.sh sweep experiment=pong seed=0,1,2             one run per GPU of a node
#   GAMES="pong breakout" SEEDS="0 1 2" \
#     submit.sh --array=0-5 array algo=a2c                 one job per game and seed
#   submit.sh --test-only one_node                         would SLURM take it?
#
# Logs: results/slurm/<job name>-<job id>.log. A job that ran out of time or was pre-empted saves,
# goes back to the queue and continues; scancel ends it for good.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$here/submit.sh"
}

options=()
while [[ ${1:-} == -* ]]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --*) options+=("$1") ;;
    *) echo "submit.sh: write $1 in its long form, --option=value" >&2; exit 2 ;;
  esac
  shift
done
script=$here/${1:-}.sbatch
if [ ! -f "$script" ]; then
  { [ $# = 0 ] || echo "submit.sh: there is no $script"; usage; } >&2
  exit 2
fi
name=$1
shift

ACCEL_SITE=$(realpath "${ACCEL_SITE:-$here/site.sh}") # a relative name means the caller's folder
export ACCEL_SITE                                     # sbatch hands the environment to the job
# shellcheck source=launch/slurm/site.sh
source "$ACCEL_SITE"

case $name in
  several_nodes) # a task is a rank with one GPU
    shape=("--gpus-per-node=$GPUS_PER_NODE" "--ntasks-per-node=$GPUS_PER_NODE"
      "--cpus-per-task=$CORES_PER_GPU") ;;
  array) shape=("--cpus-per-task=$CORES_PER_GPU") ;;
  *) # one program that uses the whole node
    shape=("--gpus-per-node=$GPUS_PER_NODE" "--cpus-per-task=$((GPUS_PER_NODE * CORES_PER_GPU))") ;;
esac

cd "$here/../.." # jobs start where sbatch was called
mkdir -p results/slurm # without the folder of its log a job ends without a word
exec sbatch "${shape[@]}" "${options[@]}" "$script" "$@"
