#!/usr/bin/env bash
# One rank: srun starts this once per GPU with the program to run; see several_nodes.sbatch.
#
# The names are torchrun's. Every task sees all GPUs of its node and takes the one of its LOCAL_RANK:
# GPUs that see one another exchange gradients directly.
set -euo pipefail
export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
# Most clusters bind a task to its cores. On others it sees all of the node, to share with its fellows.
if [ "$(env -u OMP_NUM_THREADS nproc)" -gt "$SLURM_CPUS_PER_TASK" ]; then
  export LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE
fi

# USR1 (from the job script, by way of srun, to every process of every task) becomes one SIGTERM to
# the program. Not SIGTERM to srun: that kills what has not ended after a few seconds.
trap '' USR1 # inherited by the program
"$@" &
program=$!
woken=''
trap 'woken=yes; kill -s TERM "$program" || true' USR1
trap 'woken=yes' TERM # SLURM has sent it to the program, too
while :; do
  woken='' status=0
  wait "$program" || status=$?
  [ -n "$woken" ] || exit "$status"
done
