"""benchmarks/chaos.py in its short form, on the finished run that the other tests share."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
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


@pytest.fixture
def folder(reproduced: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A copy of the finished run."""
    return shutil.copytree(reproduced, tmp_path / "copy", symlinks=True)


def test_no_fault_of_the_short_form_goes_wrong(folder: Path) -> None:
    done = chaos(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "train: checkpoint with a flipped bit: survived" in lines
    tried = len(lines) - 1
    assert tried >= 3  # without root, no disk can be made full
    assert lines[-1] == f"{tried} faults tried, {tried} survived, 0 wrong"


def test_a_run_that_is_not_that_of_its_lock_is_refused(folder: Path) -> None:
    (folder / "metrics" / "train" / "metrics.json").write_text("{}")
    done = chaos(folder)
    assert done.returncode == 1
    assert done.stderr == f"{folder} is stale in train, report: run `dvc repro` there\n"
