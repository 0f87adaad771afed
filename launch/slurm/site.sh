# shellcheck shell=bash disable=SC2034
# What depends on your cluster: the only file here to edit. Or keep a copy elsewhere, named by the
# environment variable ACCEL_SITE.
#
# #SBATCH lines cannot read variables. So submit.sh reads this file before it calls sbatch, which
# takes SBATCH_* from the environment in place of a script's own #SBATCH lines; options of submit.sh
# win over both. Every job reads it again for prepare_job. `man sbatch` lists all SBATCH_* names.

# export SBATCH_PARTITION=batch
# export SBATCH_ACCOUNT=my_project
# export SBATCH_QOS=normal
# export SBATCH_CONSTRAINT=h100
export SBATCH_TIMELIMIT=24:00:00  # a longer run continues in as many jobs as it takes
# export SBATCH_SIGNAL=B:USR1@300 # seconds before the limit to save in, where 120 are too few

# The shape of a node; these are a DGX H100's. For a DGX A100 it is 8 and 16.
GPUS_PER_NODE=8
CORES_PER_GPU=14

# Runs in the job, in the checkout, before anything else: makes `python` the one with accel.
prepare_job() {
  # module load cuda
  # shellcheck source=/dev/null
  if [ -f .venv/bin/activate ]; then source .venv/bin/activate; fi
}
