#!/usr/bin/env bash
#SBATCH --job-name=repro
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=2-00:00:00
#SBATCH --output=slurm-%x-%j.out
# The whole pipeline on one machine of a Slurm cluster. Call it in the root of the repository.
#
#     sbatch slurm/repro.sh [options of dvc repro]
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH"
export LOKY_MAX_CPU_COUNT="$SLURM_CPUS_PER_TASK" # the machine may have more cores than the job
exec dvc repro "$@"
