#!/usr/bin/env bash
#SBATCH --job-name=workers
#SBATCH --array=1-4
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=1-00:00:00
#SBATCH --output=slurm-%x-%A-%a.out
# Workers that help with a search on PostgreSQL. Call it in the root of the repository, with
# ICU_STUDY_STORAGE set. The options of sbatch come first, and those of the search last.
#
#     sbatch --array=1-8 slurm/workers.sh tune_model
#     sbatch slurm/workers.sh tune_attack --objective robust_l1
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH"
export LOKY_MAX_CPU_COUNT="$SLURM_CPUS_PER_TASK" # the machine may have more cores than the job
exec python src/run.py work "$@"
