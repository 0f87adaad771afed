# shellcheck shell=bash
# Sourced by every job script: prepares the job and runs a program to its end.
#
# How a run outlives its job: 120 s before the time limit, and when the job is pre-empted, SLURM
# sends USR1 to the job script alone (#SBATCH --signal=B:USR1@120). The script passes it on to the
# program as SIGTERM; the program finishes its update, saves and exits; the script puts the job back
# into the queue; and when it starts again, the same command continues from the checkpoint.
set -euo pipefail

[ -f launch/train.py ] || {
  echo "jobs start in the folder that sbatch was called in: call it in the checkout" >&2
  exit 2
}
set +u # modules and virtual environments read unset variables
# shellcheck source=launch/slurm/site.sh
source "${ACCEL_SITE:-launch/slurm/site.sh}"
prepare_job
set -u
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # for other libraries; accel sets torch's by itself
export PYTHONUNBUFFERED=1                      # so that the log is never behind

ATTEMPTS=${ATTEMPTS:-3} # starts per job after a lost process or node
stop_signal=TERM        # what makes the program of `run` save and exit

# To SLURM the id of an array's last task also means the whole array: requeue would restart it all.
job=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_JOB_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID

say() {
  echo "$(date '+%F %T') job $job: $*"
}
say "on $SLURM_JOB_NODELIST, restarted ${SLURM_RESTART_COUNT:-0} times"

notice='' # SLURM asked us to make room
ending='' # SLURM is ending the job
woken=''  # the last `wait` may have been cut short by a signal
trap 'notice=yes; woken=yes; say "notice from SLURM: saving"; kill -s "$stop_signal" "${!:-}" || true' USR1
# The job is being cancelled, or taken off its node and queued again by SLURM, which has told every
# process by itself. To requeue for this alone would bring cancelled jobs back to life.
trap 'ending=yes; woken=yes; say "SLURM ends this job"' TERM

# run COMMAND ...: until it is done, as many times as it takes. Does not return.
run() {
  local attempt program status
  for ((attempt = 1; ; attempt++)); do
    export MASTER_PORT=$((20000 + (SLURM_JOB_ID * 10 + attempt) % 10000)) # new: the old may be held
    "$@" & # in the foreground it would keep bash from its traps
    program=$!
    while :; do
      woken='' status=0
      wait "$program" || status=$?
      [ -n "$woken" ] || break
    done

    if [ -n "$notice" ] || was_preempted; then requeue; fi
    [ -z "$ending" ] || exit "$status"
    case $status in
      0) say "done"; exit 0 ;;
      2) say "refused: see above"; exit 2 ;; # a mistake in the command, or a finished run
    esac
    say "attempt $attempt of $ATTEMPTS ended with exit code $status"
    [ "$attempt" -lt "$ATTEMPTS" ] || exit "$status"
  done
}

# Some clusters announce a pre-emption to srun's tasks only, or cancel the job; then the program saved
# without our doing. Where SLURM queues the job again by itself, there is no such time any more.
was_preempted() {
  [[ $(scontrol show job "$job") == *PreemptTime=[0-9]* ]]
}

requeue() {
  say "back into the queue"
  trap '' TERM # comes with it, to every process of the job
  scontrol requeue "$job"
  exit 0
}
