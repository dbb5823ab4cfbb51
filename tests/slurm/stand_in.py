"""The commands `sbatch` and `scancel` without a Slurm: jobs are processes of this machine.

A script may have lines with options, as in Slurm. An option that is unknown here is refused.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PARSER = argparse.ArgumentParser(prog="sbatch", allow_abbrev=False)
PARSER.add_argument("--array", "-a", default="")
PARSER.add_argument("--cpus-per-task", "-c", default="")
PARSER.add_argument("--job-name", "-J")
PARSER.add_argument("--output", "-o")
PARSER.add_argument("--wait", "-W", action="store_true")
for names in (("--error", "-e"), ("--mem",), ("--time", "-t"), ("--ntasks", "-n")):
    PARSER.add_argument(*names)
PARSER.add_argument("job", nargs=argparse.REMAINDER)


def sbatch(spool: Path, arguments: list[str]) -> int:
    """Start the tasks of a job in the background, from a copy of its script."""
    script = Path(PARSER.parse_args(arguments).job[0]).read_text()
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH ")]
    asked = PARSER.parse_args([*(word for line in lines for word in line.split()[1:]), *arguments])
    number = str(len(list(spool.iterdir())) + 1)
    folder = spool / number
    folder.mkdir()
    copy = shutil.copy(asked.job[0], folder / "slurm_script")
    first, _, last = asked.array.partition("-")
    tasks = range(int(first), int(last) + 1) if asked.array else [None]
    processes = []
    for task in tasks:
        given = {"JOB_ID": number, "CPUS_PER_TASK": asked.cpus_per_task}
        given |= {} if task is None else {"ARRAY_TASK_ID": str(task)}
        pattern = {"%x": asked.job_name, "%j": number, "%J": number, "%A": number, "%a": str(task)}
        output = asked.output
        for short, long in pattern.items():
            output = output.replace(short, long)
        with Path(output).open("w") as file:
            process = subprocess.Popen(
                ["bash", copy, *asked.job[1:]],
                env=os.environ | {f"SLURM_{name}": value for name, value in given.items() if value},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        processes.append(process)
    (folder / "processes").write_text(" ".join(str(process.pid) for process in processes))
    print("Submitted batch job", number, flush=True)
    return max(process.wait() for process in processes) if asked.wait else 0


def scancel(spool: Path, arguments: list[str]) -> int:
    """End the processes of a job."""
    for process in (spool / arguments[0] / "processes").read_text().split():
        with suppress(ProcessLookupError):
            os.killpg(int(process), signal.SIGTERM)
    (spool / arguments[0] / "cancelled").touch()
    return 0


if __name__ == "__main__":
    command = {"sbatch": sbatch, "scancel": scancel}[sys.argv[1]]
    raise SystemExit(command(Path(sys.argv[2]), sys.argv[3:]))
