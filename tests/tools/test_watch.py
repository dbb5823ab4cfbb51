"""The view of what runs, from logs that the real loops write."""

import logging
import os
import pty
import sys
import time
from pathlib import Path

import optuna
import pytest

from icu_adversarial.config.base import Block, Range
from icu_adversarial.core import log
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.log import Progress, logged
from icu_adversarial.search.study import run_study
from icu_adversarial.tools.watch import Work, picture, read_log, watch

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and a clock that moves ten seconds whenever it is read."""
    monkeypatch.chdir(tmp_path)
    ticks = iter(range(0, 10_000, 10))
    monkeypatch.setattr(log, "monotonic", lambda: float(next(ticks)))


def look(name: str, later: float = 3) -> Work:
    """What a log tells some seconds after its last line."""
    file = Path("logs") / f"{name}.log"
    found = read_log(file, file.stat().st_mtime + later)
    assert found
    return found


class Space(Block):
    x: Range = Range(low=0, high=1)


def test_a_search_shows_trials_the_best_value_and_the_round_of_the_current_trial() -> None:
    seen: list[Work] = []

    def evaluate(trial: optuna.Trial, drawn: dict[str, float]) -> float:
        logging.getLogger("icu_adversarial.model").debug("search: round 1/6, held-out loss 0.7000")
        seen.append(look("tune_model"))
        return [0.5, 0.25, 0.75][trial.number]

    with logged("tune_model"):
        run_study(
            evaluate,
            Space(),
            trials=3,
            seed=1,
            direction="minimize",
            pruner=optuna.pruners.NopPruner(),
            state=Path("state"),
        )
    assert [work.state for work in seen] == ["runs"] * 3
    assert seen[0].progress == "round 1/6, held-out loss 0.7000"
    assert seen[0].left is None
    assert seen[2].progress == "trial 2/3, best 0.25; round 1/6, held-out loss 0.7000"
    assert seen[2].left is not None
    end = look("tune_model")
    assert (end.state, end.left) == ("finished", None)
    assert end.progress == "trial 3/3, complete, value 0.75, best 0.25"


def test_the_time_left_runs_on_after_the_last_line() -> None:
    with logged("train"), Progress("train", 18, "epoch", done=2) as progress:
        progress.step("5 of 5 folds, held-out loss 0.5", 2)
        first, later, late = (look("train", seconds) for seconds in (0, 5, 10_000))
    assert first.progress == "epoch 4/18, 5 of 5 folds, held-out loss 0.5"
    assert first.left is not None
    assert first.left > 10
    assert later.left == first.left - 5
    assert late.left == 0


def test_a_failure_is_shown_by_its_kind_and_a_new_run_begins_again() -> None:
    def fail() -> None:
        with logged("attack_robust_l1"), Progress("attack", 300, "stay") as progress:
            progress.step("a task of 61, 100% flipped", 61)
            raise KeyError("stay 4711")

    with pytest.raises(KeyError):
        fail()
    found = look("attack_robust_l1")
    assert (found.state, found.left) == ("stopped", None)
    assert found.progress == "stay 61/300, a task of 61, 100% flipped; KeyError"
    with logged("attack_robust_l1"):
        assert look("attack_robust_l1")[1:] == ("runs", 3, None, "")


def test_a_picture_has_a_line_for_each_log_and_those_that_run_last() -> None:
    for name in ("extract", "train"):
        with logged(name):
            pass
        os.utime(Path("logs") / f"{name}.log", (0, time.time() - 100 + len(name)))
    with logged("evaluate"):
        lines = list(picture(Path(), time.time(), 60))
    assert [line.split()[:2] for line in lines[2:]] == [
        ["train", "finished"],
        ["extract", "finished"],
        ["evaluate", "runs"],
    ]
    assert max(map(len, lines[1:])) <= 60


def test_runs_of_queued_experiments_are_shown_too() -> None:
    copy = Path(".dvc/tmp/exps/tmp1")
    copy.mkdir(parents=True)
    with logged("train"):
        pass
    Path("logs").rename(copy / "logs")
    assert [line.split()[0] for line in picture(Path(), time.time(), None)][2:] == ["copy", "train"]


def test_damaged_and_empty_logs_are_no_obstacle() -> None:
    Path("logs").mkdir()
    Path("logs/empty.log").touch()
    Path("logs/damaged.log").write_bytes(b"\xff\xfe\x00 train: epoch\n12:00:00 tra")
    with pytest.raises(InputError, match="logs holds no log"):
        list(picture(Path(), time.time(), None))
    with logged("train"):
        pass
    assert len(list(picture(Path(), time.time(), None))) == 3


def test_one_picture_is_printed_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logged("train"):
        watch(Path(), once=False)
    assert capsys.readouterr().out.splitlines()[2].split()[:2] == ["train", "runs"]


def test_a_terminal_is_drawn_again_until_ctrl_c_and_the_exit_is_clean() -> None:
    with logged("train"):
        pass
    pid, terminal = pty.fork()
    if pid == 0:
        code = (
            "import signal, sys; sys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may ignore it
            "from icu_adversarial.tools import watch as view\n"
            "view.SECONDS = 0.05\n"
            "view.watch(Path(), once=False)\n"
        )
        os.execv(sys.executable, [sys.executable, "-c", code, str(ROOT / "src")])
    shown = b""
    while shown.count(b"The run goes on") < 3:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    assert os.waitpid(pid, 0)[1] == 0
    assert shown.count(b"finished") >= 3
