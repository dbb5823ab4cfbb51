"""The stage: which stays and cells it keeps, what it writes, and that it writes all or nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feature_tables import event_batches, make_stays
from literature_set import NAMES, M

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_array, write_json
from icu_adversarial.core.schemas import (
    COHORT,
    EVENTS,
    STAYS,
    read_table,
    write_batches,
    write_table,
)
from icu_adversarial.stages import preprocess

NAN = float("nan")
N = 12  # stays 1..12 of as many subjects; the even ones die
DIED = [n % 2 == 0 for n in range(1, N + 1)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lay(stays: pd.DataFrame, *events: tuple[int, float, str, float]) -> None:
    write_table(paths.STAYS, stays, STAYS)
    write_batches(paths.EVENTS, event_batches(*events), EVENTS)
    write_json(paths.EXCLUDED, {})


def changed(params: Params, **blocks: object) -> Params:
    """params with two folds, and keys or blocks changed."""
    content = params.model_dump() | {
        key: value for key, value in blocks.items() if not isinstance(value, dict)
    }
    content["split"]["folds"] = 2
    for key, value in blocks.items():
        if isinstance(value, dict):
            content[key] |= value
    return Params.model_validate(content)


def one_event_each() -> list[tuple[int, float, str, float]]:
    """Heart rate n at hour n - 1 of stay n."""
    return [(n, n - 1, "heartrate", n) for n in range(1, N + 1)]


def test_rows_of_the_grid_are_the_stays_of_the_cohort(params: Params) -> None:
    lay(
        make_stays(died=DIED, out_hour=[47.0, *[100.0] * (N - 1)]),
        *one_event_each(),
        (3, 2.5, "heartrate", 5.0),
        (5, 47.99, "spo2", 97),
    )
    preprocess.run(changed(params))
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    assert cohort["stay_id"].tolist() == list(range(2, N + 1))
    assert grid.shape == (N - 1, 48, M)
    assert grid.dtype == np.float32
    expected = np.full((N - 1, 48, M), NAN, np.float32)
    for row, n in enumerate(cohort["stay_id"]):
        expected[row, n - 1, NAMES.index("heartrate")] = n
    expected[1, 2, NAMES.index("heartrate")] = 4  # (3 + 5) / 2
    expected[3, 47, NAMES.index("spo2")] = 97
    np.testing.assert_array_equal(grid, expected)
    assert (cohort["fold"] == -1).eq(cohort["is_test"]).all()
    assert set(cohort["fold"]) == {-1, 0, 1}


def test_the_flow_is_a_table_and_a_metric(params: Params) -> None:
    lay(make_stays(died=DIED, age=[10.0, *[60.0] * (N - 1)]), *one_event_each())
    write_json(paths.EXCLUDED, {"admission and patient known": 3})
    preprocess.run(changed(params, preprocess={"stays": "first_of_subject"}))
    flow = pd.read_csv("metrics/preprocess/plots/cohort.csv").set_index("step")
    found = json.loads(Path("metrics/preprocess/metrics.json").read_text())
    assert flow.loc["age ≥ 18 years", ["stays", "subjects", "deaths", "excluded"]].tolist() == [
        11,
        11,
        6,
        1,
    ]
    assert flow["source"].eq("synthetic hospital (not real patients)").all()
    assert found["flow"]["age ≥ 18 years"] == {
        "stays": 11,
        "subjects": 11,
        "deaths": 6,
        "excluded": 1,
    }
    assert list(found["flow"])[:4] == [
        "all ICU stays",
        "admission and patient known",
        "alive at ICU admission",
        "first ICU stay of the subject",
    ]
    assert flow["stays"].tolist()[:3] == [15, 12, 12]
    assert flow["excluded"].tolist()[:3] == [0, 3, 0]
    assert (found["stays"], found["deaths"], found["subjects"]) == (11, 6, 11)
    assert found["observed_share"] == pytest.approx(1 / (48 * M), rel=1e-5)
    assert found["prevalence"] == pytest.approx(6 / 11, rel=1e-5)


def test_observed_cells_are_those_of_the_bins(params: Params) -> None:
    """Two values in one hour are one cell; two in neighbouring hours are one cell of a bin of two hours."""
    twice = [(n, 0.5 if n < 4 else 1.5, "heartrate", 80) for n in range(1, N + 1)]
    lay(
        make_stays(died=DIED),
        *[(n, 0.25, "heartrate", 70) for n in range(1, N + 1)],
        *twice,
        *[(n, 9, "ph", 7.4) for n in range(1, 3)],
    )
    preprocess.run(changed(params, preprocess={"min_observed_cells": 2}))
    assert read_table(paths.COHORT, COHORT)["stay_id"].tolist() == [1, 2, *range(4, N + 1)]
    with pytest.raises(InputError, match="2 subjects, 1 with the outcome"):
        preprocess.run(changed(params, bin_hours=2, preprocess={"min_observed_cells": 2}))


def test_a_cohort_that_cannot_be_used_leaves_nothing(params: Params) -> None:
    lay(make_stays(died=[False] * N), *one_event_each())
    with pytest.raises(
        InputError,
        match="the cohort has 12 stays, 0 of them with the outcome: stays with and without it are needed",
    ):
        preprocess.run(changed(params))
    assert not [p for p in Path("data/preprocess").rglob("*") if p.is_file()]
    assert not Path("metrics").exists()


def test_a_test_set_of_one_outcome_is_told_in_one_line(params: Params) -> None:
    lay(
        make_stays(died=DIED, source_group=["west" if died else "east" for died in DIED]),
        *one_event_each(),
    )
    with pytest.raises(
        InputError,
        match="the test set has 6 stays, 6 of them with the outcome: stays with and without it are needed",
    ):
        preprocess.run(changed(params, split={"test_groups": ["west"]}))


def test_events_of_another_window_are_told_in_one_line(params: Params) -> None:
    lay(make_stays(died=DIED), *one_event_each(), (1, 30.0, "ph", 7.4))
    with pytest.raises(InputError, match=r"outside the window \[0, 24\) h: run `dvc repro`"):
        preprocess.run(changed(params, window_hours=24))
    assert not list(Path("data/preprocess").iterdir())


def test_stays_without_a_known_outcome_are_not_in_the_cohort(params: Params) -> None:
    lay(make_stays(died=[None, None, *DIED[2:]]), *one_event_each())
    preprocess.run(changed(params))
    cohort = read_table(paths.COHORT, COHORT)
    assert cohort["stay_id"].tolist() == list(range(3, N + 1))
    assert cohort["died"].dtype == bool


def test_the_same_bytes_however_the_events_were_written(params: Params) -> None:
    found = []
    write_json(paths.EXCLUDED, {})
    for rows in (1, 7, 1 << 20):
        write_table(paths.STAYS, make_stays(died=DIED), STAYS)
        write_batches(
            paths.EVENTS,
            event_batches(*one_event_each(), *[(4, h / 2, "sysbp", 100 + h) for h in range(90)]),
            EVENTS,
            rows=rows,
        )
        preprocess.run(changed(params))
        found.append(
            {
                p: p.read_bytes()
                for p in [*Path("data/preprocess").iterdir(), *Path("metrics").rglob("*.*")]
            }
        )
    assert found[0] == found[1] == found[2]
    np.save("again.npy", read_array(paths.GRID))
    assert Path("again.npy").read_bytes() == paths.GRID.read_bytes()
