"""benchmarks/chaos.py in its short form, on the finished run that the other tests share."""

import shutil
import subprocess
import sys
from pathlib import Path

from test_repro import ENVIRONMENT, ROOT, clone, reproduced  # noqa: F401 (fixtures)

SCRIPT = ROOT / "benchmarks" / "chaos.py"


def chaos(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "--short"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_fault_of_the_short_form_goes_wrong(reproduced: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = shutil.copytree(
        reproduced, tmp_path / "copy", ignore=shutil.ignore_patterns("cache"), symlinks=True
    )
    done = chaos(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "train: checkpoint with a flipped bit: survived" in lines
    tried = len(lines) - 1
    assert tried >= 3  # without root, no disk can be made full
    assert lines[-1] == f"{tried} faults tried, {tried} survived, 0 wrong"
