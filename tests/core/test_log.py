import io
import itertools
import logging
import os
import pty
import re
import sys
from pathlib import Path

import pytest

from icu_adversarial.core import log
from icu_adversarial.core.log import Progress, follow, logged


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lines(name: str) -> list[str]:
    """The lines of a log without the time of day, which each of them must have."""
    found = (Path("logs") / f"{name}.log").read_text().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in found)
    return [line[9:] for line in found]


def test_every_step_is_a_line_of_the_log_and_a_second_run_appends() -> None:
    for _ in range(2):
        with logged("train"), Progress("train", 6, "epoch", done=2) as progress:
            progress.step("loss 0.5", 2)
            progress.step("loss 0.4", 2)
    run = lines("train")[:4]
    assert lines("train") == run * 2
    assert (run[0], run[3]) == ("train: started", "train: finished")
    assert re.fullmatch(r"train: epoch 4/6, loss 0\.5, \d\d:\d\d left", run[1])
    assert re.fullmatch(r"train: epoch 6/6, loss 0\.4, 00:00 left", run[2])


def test_a_failure_is_logged_by_its_kind_without_its_message() -> None:
    with pytest.raises(KeyError), logged("train"):
        raise KeyError("stay 4711")
    assert lines("train") == ["train: started", "train: stopped (KeyError)"]
    assert not logging.getLogger("icu_adversarial").handlers


def test_without_a_terminal_a_plain_line_comes_at_most_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here a step takes three seconds, and one of them is shown in four."""
    now = 0.0
    monkeypatch.setattr(log, "monotonic", lambda: now)
    with logged("train"), Progress("train", 9, "epoch") as progress:
        for _ in range(9):
            now += 3
            logging.getLogger("icu_adversarial.model").debug("round 1/1")  # for the file alone
            progress.step(f"second {now:g}")
    told = capsys.readouterr()
    assert told.out == ""
    assert "\r" not in told.err
    shown = [int(second) for second in re.findall(r"second (\d+)", told.err)]
    assert len(told.err.splitlines()) == len(shown)
    assert "round" not in told.err
    assert lines("train")[7:9] == ["round 1/1", "train: epoch 4/9, second 12, 00:15 left"]
    assert len(lines("train")) == 2 + 2 * 9
    assert [b - a for a, b in itertools.pairwise(shown)] == [12, 12]


def test_a_terminal_shows_a_bar_with_the_time_left_and_the_latest_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with logged("train"), Progress("train", 4, "epoch") as progress:
        for score in (0.81, 0.82, 0.83, 0.84):
            progress.step(f"AUROC {score}")
    assert "\n" not in terminal.getvalue().strip()
    last = terminal.getvalue().split("\r")[-1]
    assert re.search(r"train: 100%\|\S+\| 4/4 \[00:00<00:00, .*epoch.*, AUROC 0\.84\]", last)
    assert len(lines("train")) == 2 + 4


def test_followed_items_are_passed_on_and_counted() -> None:
    with logged("extract"):
        assert list(follow("abc", "extract", "batch")) == ["a", "b", "c"]
    assert lines("extract")[1:-1] == [f"extract: batch {n}" for n in (1, 2, 3)]


def test_a_real_terminal_of_unknown_size_shows_a_bar_too() -> None:
    """As `docker run -t` gives one."""
    code = """if True:
        import sys
        sys.path.insert(0, sys.argv[1])
        from icu_adversarial.core.log import Progress
        with Progress("train", 1, "epoch") as progress:
            progress.step("AUROC 0.84")
    """
    shown, source = b"", str(Path(log.__file__).parents[2])

    def read(terminal: int) -> bytes:
        nonlocal shown
        content = os.read(terminal, 1024)
        shown += content
        return content

    assert pty.spawn([sys.executable, "-c", code, source], read) == 0
    assert "AUROC 0.84" in shown.decode()
