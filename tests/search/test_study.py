import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from icu_adversarial.config.base import Block, IntRange, Range
from icu_adversarial.config.params import Params
from icu_adversarial.core.errors import InputError
from icu_adversarial.search.figures import figure_tables, trials_table
from icu_adversarial.search.space import decode, encode, suggest
from icu_adversarial.search.study import best_trial, run_study, write_study


class Space(Block):
    kappa: Range
    penalty: Range
    learning_rate: Range
    log2_batch_size: IntRange
    optimizer: tuple[str, ...]


SPACE = Space(
    kappa=Range(low=0, high=2),
    penalty=Range(low=1e-7, high=1, log=True),
    learning_rate=Range(low=0.1, high=0.1),
    log2_batch_size=IntRange(low=5, high=7),
    optimizer=("adam", "sgd"),
)
PRUNER = optuna.pruners.MedianPruner(n_startup_trials=2)
TRIALS = 7
FIRST = {
    "kappa": 1.25,
    "penalty": 0.5,
    "learning_rate": 0.1,
    "batch_size": 64,
    "optimizer": "adam",
    "elsewhere": 9,
}


def evaluate(trial: optuna.Trial, h: dict[str, Any]) -> float:
    """A bowl around kappa 1.3, reported in two steps."""
    value = (h["kappa"] - 1.3) ** 2 + (h["optimizer"] == "sgd")
    trial.report(value + 1, 0)
    trial.report(value, 1)
    if trial.should_prune():
        raise optuna.TrialPruned
    return value


def run(
    state: Path, trials: int = TRIALS, function: Any = evaluate, first: dict[str, Any] | None = None
) -> list[Any]:
    return run_study(
        function,
        SPACE,
        trials=trials,
        seed=11,
        direction="minimize",
        pruner=PRUNER,
        state=state,
        first=first,
    )


def drawn(trials: list[Any]) -> list[Any]:
    return [(decode(t.params), t.value, t.state) for t in trials]


def test_every_kind_of_range_is_drawn_within_its_bounds_and_decoded(params: Params) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = [suggest(study.ask(), params.tune_model.space) for _ in range(60)]
    assert {s["n_lstm"] for s in seen} == {32, 64, 128}
    assert {s["batch_size"] for s in seen} == {32, 64, 128, 256}
    assert {s["optimizer"] for s in seen} == {"adam", "rmsprop", "sgd"}
    assert all(0 <= s["dropout"] <= 0.5 for s in seen)
    assert (
        sum(s["learning_rate"] < 1e-3 for s in seen) > 15
    )  # a logarithmic range: half of it lies below 1e-3
    assert decode({"log2_n_fc": 4, "dropout": 0.1}) == {"n_fc": 16, "dropout": 0.1}


@given(
    st.fixed_dictionaries(
        {
            "kappa": st.floats(0, 2),
            "penalty": st.floats(1e-7, 1),
            "learning_rate": st.just(0.1),
            "log2_batch_size": st.integers(5, 7),
            "optimizer": st.sampled_from(["adam", "sgd"]),
        }
    )
)
def test_what_a_space_holds_is_encoded_as_it_would_be_drawn(drawn: dict[str, Any]) -> None:
    encoded = encode(decode(drawn), SPACE)
    assert encoded is not None
    assert decode(encoded) == decode(drawn)
    study = optuna.create_study()
    study.enqueue_trial(drawn)
    assert suggest(study.ask(), SPACE) == decode(drawn)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 16},
        {"batch_size": 48},
        {"batch_size": 0},
        {"kappa": 2.1},
        {"penalty": 0.0},
        {"optimizer": "rmsprop"},
    ],
)
def test_what_a_space_does_not_hold_is_not_encoded(change: dict[str, Any]) -> None:
    assert encode(FIRST, SPACE) is not None
    assert encode(FIRST | change, SPACE) is None


def test_a_search_starts_from_what_is_known_and_never_ends_behind_it(tmp_path: Path) -> None:
    trials = run(tmp_path / "a", first=FIRST)
    assert decode(trials[0].params) == {
        name: value for name, value in FIRST.items() if name != "elsewhere"
    }
    assert best_trial(trials, "minimize").value <= trials[0].value == pytest.approx(0.0025)
    assert sum(t.params == trials[0].params for t in trials) == 1
    assert drawn(run(tmp_path / "b", first=FIRST | {"kappa": 3.0})) == drawn(
        run(tmp_path / "c")
    )  # outside the ranges: as without it


@pytest.mark.parametrize("moment", [1, 2, 5])
def test_a_search_from_what_is_known_is_the_undisturbed_one_after_a_break(
    tmp_path: Path, moment: int
) -> None:
    """Also when it breaks in the very first trial."""
    count = 0

    def breaks(trial: optuna.Trial, h: dict[str, Any]) -> float:
        nonlocal count
        count += 1
        if count == moment:
            raise KeyboardInterrupt
        return evaluate(trial, h)

    undisturbed = run(tmp_path / "a", first=FIRST)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", function=breaks, first=FIRST)
    resumed = run(tmp_path / "b", first=FIRST)
    assert drawn(resumed) == drawn(undisturbed)
    assert best_trial(resumed, "minimize").params == best_trial(undisturbed, "minimize").params


def test_a_search_killed_before_its_first_trial_asks_for_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "optimize", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "a", first=FIRST)
    assert drawn(run(tmp_path / "a", first=FIRST)) == drawn(run(tmp_path / "b", first=FIRST))


def test_study_interrupted_by_an_error_and_grown_is_the_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = run(tmp_path / "a")
    count = 0

    def breaks(trial: optuna.Trial, h: dict[str, Any]) -> float:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return evaluate(trial, h)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", function=breaks)
    assert len(run(tmp_path / "b", trials=5)) == 5
    assert drawn(run(tmp_path / "b")) == drawn(undisturbed)
    assert len(undisturbed) == TRIALS
    assert drawn(run(tmp_path / "b", trials=3)) == drawn(undisturbed)[:3]  # only the first N count


SLOW = """
import sys, time
sys.path[:0] = [{src!r}, {here!r}]
import test_study
def slow(trial, h):
    print(trial.number, flush=True)
    time.sleep(0.05)
    return test_study.evaluate(trial, h)
from pathlib import Path
test_study.run(Path(sys.argv[1]), trials=10_000, function=slow)
"""


def test_study_killed_ten_times_with_sigkill_resumes_to_the_undisturbed_one(tmp_path: Path) -> None:
    """Killed at random moments: within a trial, between two, while the journal is written. No trial that had ended is lost or run again."""
    here = Path(__file__).parent
    command = [
        sys.executable,
        "-c",
        SLOW.format(src=str(here.parents[1] / "src"), here=str(here)),
        str(tmp_path / "killed"),
    ]
    moments = np.random.default_rng(0).uniform(0, 0.25, 10)
    for moment in moments:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()  # the first trial of this life has begun
            time.sleep(moment)
            os.kill(process.pid, signal.SIGKILL)
        with (tmp_path / "killed" / "journal.log").open("ab") as file:
            file.write(b'{"op_code": 4, "worker_id": "torn')  # as if killed while it wrote
    survived = []

    def counted(trial: optuna.Trial, h: dict[str, Any]) -> float:
        survived.append(trial.number)
        return evaluate(trial, h)

    total = 40
    resumed, whole = run(tmp_path / "killed", total, counted), run(tmp_path / "whole", total)
    assert drawn(resumed) == drawn(whole)
    best = [decode(best_trial(trials, "minimize").params) for trials in (resumed, whole)]
    assert best[0] == best[1]
    assert len(survived) < total


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Any]]:
    """The journal of a whole study, and what its trials are."""
    folder = tmp_path_factory.mktemp("undisturbed")
    trials = drawn(run(folder))
    return (folder / "journal.log").read_bytes(), trials


def lines_of(journal: bytes) -> list[bytes]:
    return journal.splitlines(keepends=True)


def ended_in(journal: bytes) -> int:
    """How many trials of the study have ended in this beginning of its journal."""
    states = [json.loads(line).get("state") for line in lines_of(journal)]
    return sum(state in (TrialState.COMPLETE, TrialState.PRUNED) for state in states)


def goes_on_from(
    state: Path, journal: bytes, undisturbed: tuple[bytes, list[Any]], capsys: Any
) -> int:
    """Run a study whose journal is damaged: it finds what an undisturbed one finds.

    Returns the number of the line that it named.
    """
    state.mkdir(exist_ok=True)
    (state / "journal.log").write_bytes(journal)
    begun: list[int] = []

    def counted(trial: optuna.Trial, h: dict[str, Any]) -> float:
        begun.append(trial.number)
        return evaluate(trial, h)

    capsys.readouterr()
    assert drawn(run(state, function=counted)) == undisturbed[1]
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    (found,) = re.findall(
        r"(\S+) is damaged in line (\d+): .* from the (\d+) trials", "".join(told)
    )
    assert len(told) == 1
    assert found[0] == str(state / "journal.log")
    number, kept = int(found[1]), int(found[2])
    assert kept == ended_in(b"".join(lines_of(undisturbed[0])[: number - 1]))
    assert len(begun) == TRIALS - kept
    assert drawn(run(state, function=counted)) == undisturbed[1]  # the journal is sound again
    assert "warning" not in capsys.readouterr().err
    assert len(begun) == TRIALS - kept
    return number


DAMAGE = {
    "a blank line": lambda lines, i: [*lines[:i], b"\n", *lines[i:]],
    "NULs": lambda lines, i: [*lines[:i], bytes(40), *lines[i:]],
    "a line of NULs": lambda lines, i: [*lines[:i], bytes(40) + b"\n", *lines[i:]],
    "half a line": lambda lines, i: [*lines[:i], lines[i][: len(lines[i]) // 2], *lines[i + 1 :]],
    "the text of another program": lambda lines, i: [*lines[:i], b"<html>\n", *lines[i:]],
    "another JSON": lambda lines, i: [*lines[:i], b'{"op_code": 4}\n', *lines[i:]],
    "not UTF-8": lambda lines, i: [*lines[:i], b"\xff\xfe\n", *lines[i:]],
    "a line is lost": lambda lines, i: [*lines[:i], *lines[i + 1 :]],
    "a line comes twice": lambda lines, i: [*lines[: i + 1], *lines[i:]],
    "no newline": lambda lines, i: [*lines[:i], lines[i][:-1]],
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("place", [0, 0.4, 0.8])
def test_a_damaged_journal_keeps_the_trials_before_the_damage(
    tmp_path: Path,
    undisturbed: tuple[bytes, list[Any]],
    capsys: pytest.CaptureFixture[str],
    kind: str,
    place: float,
) -> None:
    lines = lines_of(undisturbed[0])
    i = int(place * len(lines))
    number = goes_on_from(tmp_path, b"".join(DAMAGE[kind](lines, i)), undisturbed, capsys)
    assert number == i + 1 + (kind == "a line comes twice")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_of_a_journal_is_noticed(
    tmp_path: Path,
    undisturbed: tuple[bytes, list[Any]],
    capsys: pytest.CaptureFixture[str],
    data: st.DataObject,
) -> None:
    journal = bytearray(undisturbed[0])
    place = data.draw(st.integers(0, len(journal) - 1))
    journal[place] ^= 1 << data.draw(st.integers(0, 7))
    number = goes_on_from(tmp_path, bytes(journal), undisturbed, capsys)
    assert number == undisturbed[0][:place].count(b"\n") + 1


def test_a_changed_value_is_noticed_though_the_line_is_still_json(
    tmp_path: Path, undisturbed: tuple[bytes, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(undisturbed[0])
    i = next(i for i, line in enumerate(lines) if b'"values":[' in line)
    log = json.loads(lines[i])
    log["values"] = [log["values"][0] - 1]
    lines[i] = json.dumps(log, separators=(",", ":")).encode() + b"\n"
    assert goes_on_from(tmp_path, b"".join(lines), undisturbed, capsys) == i + 1


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_journal_cut_within_a_line_is_noticed(
    tmp_path: Path,
    undisturbed: tuple[bytes, list[Any]],
    capsys: pytest.CaptureFixture[str],
    data: st.DataObject,
) -> None:
    """One cut between two lines is what the file was at an earlier moment: no damage."""
    ends = [i for i, byte in enumerate(undisturbed[0], 1) if byte == ord("\n")]
    length = data.draw(st.integers(0, len(undisturbed[0]) - 1).filter(lambda n: n not in ends))
    goes_on_from(tmp_path, undisturbed[0][:length], undisturbed, capsys)


@pytest.mark.parametrize("place", ["journal.log", "", ".."])
def test_what_lies_in_the_place_of_a_journal_or_its_folder_is_deleted(
    tmp_path: Path,
    undisturbed: tuple[bytes, list[Any]],
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    """A folder in the place of the journal, a file in the place of its folder or the one above."""
    state = tmp_path / "tune_model" / "key"
    if place == "journal.log":
        (state / place / "inside").mkdir(parents=True)
    else:
        wrong = (state / place).resolve()
        wrong.parent.mkdir(parents=True, exist_ok=True)
        wrong.write_text("a file")
    assert drawn(run(state)) == undisturbed[1]
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(told) == 1
    assert str((state / place).resolve()) in told[0]


def test_a_journal_written_without_seals_begins_again(
    tmp_path: Path, undisturbed: tuple[bytes, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = [json.loads(line) for line in lines_of(undisturbed[0])]
    for log in plain:
        del log["seal"]
    journal = "".join(json.dumps(log) + "\n" for log in plain).encode()
    assert goes_on_from(tmp_path, journal, undisturbed, capsys) == 1


def test_tables_of_a_study(tmp_path: Path) -> None:
    trials = run(tmp_path / "state")
    best = write_study(tmp_path / "out", trials, "minimize")
    complete = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert best["value"] == min(t.value for t in complete)
    assert best["hyperparameters"]["batch_size"] in (32, 64, 128)
    table = trials_table(trials)
    assert table["trial"].tolist() == list(range(TRIALS))
    assert set(table["state"]) == {"complete", "pruned"}
    history = figure_tables(trials, "minimize")["history"]
    assert history["best"].is_monotonic_decreasing
    assert history["best"].iloc[-1] == best["value"]
    first = (tmp_path / "out" / "trials.parquet").read_bytes()
    write_study(tmp_path / "again", trials, "minimize")
    assert (tmp_path / "again" / "trials.parquet").read_bytes() == first


def test_importance_names_the_parameter_that_rules_the_value() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(
        lambda t: (
            t.suggest_float("rules", 1e-4, 1, log=True)
            + 0.001 * t.suggest_int("log2_idle", 0, 9)
            + t.suggest_categorical("fixed", [3])
        ),
        n_trials=40,
    )
    tables = figure_tables(study.trials, "minimize")
    assert tables["importance"].set_index("parameter")["importance"]["rules"] > 0.9
    assert tables["importance"]["importance"].sum() == pytest.approx(1)
    assert tables["importance"].equals(figure_tables(study.trials, "minimize")["importance"])
    by_setting = tables["slice"].set_index(["parameter", "trial"])["setting"]
    assert by_setting["rules", 7] == pytest.approx(study.trials[7].params["rules"])
    assert by_setting["idle", 7] == 2 ** study.trials[7].params["log2_idle"]
    # One setting alone tells nothing.
    assert set(tables["slice"]["parameter"]) == {"rules", "idle"}
    assert set(tables["importance"]["parameter"]) == {"rules", "idle"}
    assert tables["slice_choice"]["note"].tolist() == [
        "Nothing to show: no searched parameter is a choice between names"
    ]


def test_no_complete_trial_is_told_in_one_line(tmp_path: Path) -> None:
    def prune(trial: optuna.Trial, h: dict[str, Any]) -> float:
        raise optuna.TrialPruned

    with pytest.raises(InputError, match="none of the 2 trials"):
        best_trial(run(tmp_path, trials=2, function=prune), "minimize")


def test_no_trials_leave_what_is_fixed(tmp_path: Path) -> None:
    best = write_study(
        tmp_path, run(tmp_path / "state", trials=0, first=FIRST), "minimize", {"conv": 3}
    )
    assert best == {"trial": None, "value": None, "hyperparameters": {"conv": 3}}
    kept = write_study(
        tmp_path, run(tmp_path / "state", first=FIRST), "minimize", {"conv": 3, "kappa": 9}
    )["hyperparameters"]
    assert kept["conv"] == 3
    assert kept["kappa"] < 2
