import subprocess
import sys
import time
from pathlib import Path

import pytest

from icu_adversarial.core.resume import resumable, work_key

ROOT = Path(__file__).parents[2]
HOLD = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "src")!r})
from pathlib import Path
from icu_adversarial.core.resume import resumable
with resumable("train", sys.argv[1], rooms=()):
    Path(sys.argv[2]).touch()
    time.sleep(60)
"""
SECONDS = 30  # to import a few modules, on a busy machine


def start(folder: Path, key: str, told: str) -> subprocess.Popen[bytes]:
    with (folder / f"{told}.stderr").open("w") as lines:
        return subprocess.Popen([sys.executable, "-c", HOLD, key, told], cwd=folder, stderr=lines)


def appears(file: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return file.exists()


def appears_with(file: Path, text: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while text not in file.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    return text in file.read_text()


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
            waits = tmp_path / "second.stderr"
            assert appears_with(waits, "waiting for another run", SECONDS)
            assert not appears(tmp_path / "second", 1)
            first.kill()
            assert appears(tmp_path / "second", SECONDS)
            (line,) = waits.read_text().splitlines()
            assert line.startswith("train: waiting for another run that does the same work (lock ")
            assert [(tmp_path / f"{run}.stderr").read_text() for run in ("first", "other")] == [
                ""
            ] * 2
        finally:
            for process in (second, other):
                process.kill()
                process.wait()
    finally:
        first.kill()
        first.wait()


def test_the_key_depends_on_settings_files_and_the_code_of_the_rooms_alone(tmp_path: Path) -> None:
    file, room = tmp_path / "data", tmp_path / "room"
    file.write_text("1")
    room.mkdir()
    (room / "code.py").write_text("a = 1")

    def key(setting: str = "a") -> str:
        return work_key(setting, file, rooms=(str(room),))

    keys = {key("a"), key("b")}
    file.write_text("2")
    keys.add(key())
    (room / "code.py").write_text("a = 2")
    keys.add(key())
    assert len(keys) == 4
    (tmp_path / "elsewhere.py").write_text("a = 3")
    assert key() in keys


def test_the_folder_stays_after_a_failure_and_goes_after_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)

    def work(*, fails: bool = False, keep: bool = False) -> Path:
        with resumable("train", "a", rooms=(), keep=keep) as folder:
            folder.mkdir(parents=True, exist_ok=True)
            if fails:
                raise KeyboardInterrupt
        return folder

    with pytest.raises(KeyboardInterrupt):
        work(fails=True)
    assert len(list(Path(".state/train").iterdir())) == 1
    assert work(keep=True).exists()
    assert not work().exists()
