"""Worker processes and their shared memory end with the process that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pytest

from icu_adversarial.core.io import atomic, is_running
from icu_adversarial.core.parallel import workers

SOURCE = Path(__file__).parents[2] / "src"
CODE = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import joblib, numpy as np
from icu_adversarial.core.parallel import workers

def work(place, array):
    open(os.path.join(place, str(os.getpid())), "w").close()
    time.sleep(300)

array = np.zeros(300_000)  # large enough to be shared
workers()(joblib.delayed(work)(sys.argv[2], array) for _ in range(2))
"""


def shared() -> list[Path]:
    return list(Path(os.environ["JOBLIB_TEMP_FOLDER"]).glob("joblib_memmapping_folder_*"))


@pytest.mark.parametrize("group", [False, True])
def test_workers_and_their_memory_end_with_a_killed_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: bool
) -> None:
    """group: all processes are killed at once, also those that clean up. The next pool does it."""
    pids, memory = tmp_path / "pids", tmp_path / "memory"
    pids.mkdir()
    memory.mkdir()
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", str(memory))
    monkeypatch.setattr("tempfile.tempdir", str(memory))
    command = [sys.executable, "-c", CODE, str(SOURCE), str(pids)]
    environment = os.environ | {"LOKY_MAX_CPU_COUNT": "2"}
    with subprocess.Popen(command, env=environment, start_new_session=True) as parent:
        while len(list(pids.iterdir())) < 2:
            assert parent.poll() is None
            time.sleep(0.05)
        assert shared()
        if group:
            os.killpg(parent.pid, signal.SIGKILL)
        else:
            parent.kill()
    started = [file.name for file in pids.iterdir()]
    deadline = time.monotonic() + 60
    while any(map(is_running, started)) or (shared() and not group):
        assert time.monotonic() < deadline, (started, shared())
        time.sleep(0.1)
    if group:
        assert shared()
        workers()
    assert not shared()


def test_workers_give_results_and_stay_while_the_parent_lives() -> None:
    with joblib.parallel_config(n_jobs=2), workers() as parallel:
        pids = {
            pid for _ in range(2) for pid in parallel(joblib.delayed(os.getpid)() for _ in "ab")
        }
        assert all(is_running(str(pid)) for pid in pids)


def test_a_temporary_file_of_a_killed_process_is_removed_and_that_of_a_running_one_stays(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, alive, other = (
        tmp_path / name
        for name in (f".a.csv.{ended.pid}.tmp", f".a.csv.{os.getppid()}.tmp", f".b.{ended.pid}.tmp")
    )
    for file in (dead, alive, other):
        file.touch()
    with atomic(tmp_path / "a.csv") as temporary:
        temporary.write_text("x")
    assert {file.name for file in tmp_path.iterdir()} == {"a.csv", alive.name, other.name}
    assert not is_running(str(ended.pid))
    assert is_running("no number")
