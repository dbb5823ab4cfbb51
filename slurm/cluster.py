"""Run a command with a Dask cluster whose workers are jobs of Slurm.

    python slurm/cluster.py --jobs 4 --cores 16 --memory 64GB dvc repro

The scheduler runs in this process. The command gets its address in ICU_CLUSTER. The jobs begin when
Slurm has room for them, and end with the command. dask-jobqueue reads what else the cluster needs,
such as an account, a partition or a network interface, from ~/.config/dask/jobqueue.yaml.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from dask_jobqueue.slurm import SLURMCluster

SRC = Path(__file__).resolve().parents[1] / "src"
sys.path.insert(0, str(SRC))  # the scheduler reads the calls, which name functions of the package


def main() -> None:
    """Start the cluster, run the command, and exit with its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, required=True, help="how many jobs")
    parser.add_argument("--cores", type=int, required=True, help="of each job, one worker on each")
    parser.add_argument("--memory", required=True, help="of each job, for example 64GB")
    parser.add_argument("--time", default="1-00:00:00", help="after which Slurm ends a job")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("name a command, for example dvc repro")
    with SLURMCluster(
        cores=arguments.cores,
        processes=arguments.cores,
        memory=arguments.memory,
        walltime=arguments.time,
        worker_command="icu_adversarial.tools.dask_worker",
        worker_extra_args=["--nworkers", str(arguments.cores), "--no-dashboard"],
        job_script_prologue=[f"export PYTHONPATH={shlex.quote(str(SRC))}"],
        log_directory="logs",
        scheduler_options={"dashboard": False},
    ) as cluster:
        cluster.scale(jobs=arguments.jobs)
        environment = os.environ | {"ICU_CLUSTER": cluster.scheduler_address}
        done = subprocess.run(arguments.command, env=environment, check=False)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
