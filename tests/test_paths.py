import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOLD = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "src")!r})
from pathlib import Path
from icu_adversarial import paths
state = paths.state("train", sys.argv[1])
assert paths.state("train", sys.argv[1]) == state  # the process that holds it asks again
Path(sys.argv[2]).touch()
time.sleep(60)
"""
SECONDS = 30  # to import a few modules, on a busy machine


def start(folder: Path, key: str, told: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HOLD, key, told], cwd=folder)


def appears(file: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return file.exists()


def test_of_two_runs_with_one_key_the_second_waits_until_the_first_ends_or_is_killed(
    tmp_path: Path,
) -> None:
    """Both would write the same checkpoints, and each take the other's live trials for dead ones."""
    first = start(tmp_path, "a", "first")
    try:
        assert appears(tmp_path / "first", SECONDS)
        second, other = start(tmp_path, "a", "second"), start(tmp_path, "b", "other")
        try:
            assert appears(tmp_path / "other", SECONDS)
            assert not appears(tmp_path / "second", 1)
            first.kill()
            assert appears(tmp_path / "second", SECONDS)
        finally:
            for process in (second, other):
                process.kill()
                process.wait()
    finally:
        first.kill()
        first.wait()
