"""Events → grid: bins, batches, gaps. The slow reference of the whole way to a model's input stands in test_scaling.py."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feature_tables import event_batches
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from literature_set import NAMES, M
from slow_reference import filled

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.features.grid import fill_gaps, grid_from_events, grids, since_observed

NAN = np.nan
TWO_DAYS = range(48)
JUST_BELOW = float(np.nextafter(np.float32(2), np.float32(0)))


def column(*values: float) -> np.ndarray:
    """One stay, one measurement repeated M times: (1, T, M)."""
    return np.repeat(np.array(values, np.float32)[None, :, None], M, axis=2)


def joined(
    batches: list[pa.RecordBatch],
    stay_id: list[int],
    hours: range = TWO_DAYS,
    names: Sequence[str] = NAMES,
) -> np.ndarray:
    parts = list(grids(batches, np.array(stay_id), hours, names))
    starts = [0, *(rows.stop for rows, _ in parts)]
    assert [(rows.start, len(grid)) for rows, grid in parts] == [
        (a, b - a) for a, b in pairwise(starts)
    ]
    return np.concatenate([grid for _, grid in parts])


def test_cell_is_the_mean_of_its_hour() -> None:
    grid = grid_from_events(
        stay=np.array([0, 0, 0, 1]),
        hour=np.array([0.0, 0.99, 1.0, 2.5]),
        measurement=np.array([3, 3, 3, 18]),
        value=np.array([1.0, 3.0, 7.0, 5.0]),
        stays=2,
        hours=range(3),
        names=NAMES,
    )
    assert grid.shape == (2, 3, M)
    assert grid.dtype == np.float32
    assert grid[0, 0, 3] == 2.0  # (1 + 3) / 2, both within [0, 1)
    assert grid[0, 1, 3] == 7.0  # an event on the full hour belongs to the bin that begins there
    assert grid[1, 2, 18] == 5.0
    assert np.isfinite(grid).sum() == 3


def test_bins_of_two_hours_begin_on_even_hours() -> None:
    hour = np.array([0.0, 1.0, JUST_BELOW, 2.0, 3.5, 70.0, 71.9], np.float32)
    value = np.array([1.0, 2.0, 3.0, 10.0, 20.0, 5.0, 7.0], np.float32)
    grid = grid_from_events(
        np.zeros(7, int), hour, np.zeros(7, int), value, 1, range(0, 72, 2), NAMES
    )
    assert grid.shape == (1, 36, M)
    assert grid[0, [0, 1, 35], 0].tolist() == [2.0, 15.0, 6.0]
    assert np.isfinite(grid).sum() == 3


@pytest.mark.parametrize(("bin_hours", "expected"), [(1, [NAN, 4, 5, 6]), (2, [4, 5.5]), (4, [5])])
def test_an_event_on_the_full_hour_belongs_to_the_bin_that_begins_there(
    bin_hours: int, expected: list[float]
) -> None:
    grid = joined(
        event_batches((7, 1.0, "ph", 4.0), (7, 2.0, "ph", 5.0), (7, 3.0, "ph", 6.0)),
        [7],
        range(0, 4, bin_hours),
    )
    np.testing.assert_array_equal(grid[0, :, NAMES.index("ph")], expected)


@pytest.mark.parametrize("hour", [-0.1, 48.0])
def test_event_outside_the_window_is_refused(hour: float) -> None:
    with pytest.raises(InputError, match=r"outside the window \[0, 48\) h"):
        joined(event_batches((1, hour, "ph", 7.4)), [1])


@pytest.mark.parametrize("stay", [0, 2, 9])
def test_event_of_an_unknown_stay_is_refused(stay: int) -> None:
    with pytest.raises(InputError, match="none of the ICU stays"):
        joined(event_batches((stay, 1, "ph", 7.4)), [1, 3])


def test_stays_without_events_are_rows_of_the_grid() -> None:
    grid = joined(event_batches((3, 0, "ph", 7.5), (6, 1, "spo2", 98)), [1, 3, 4, 5, 6, 8, 9])
    assert np.argwhere(np.isfinite(grid)).tolist() == [[1, 0, 2], [4, 1, 18]]
    for nothing in ([], [pa.RecordBatch.from_pylist([], EVENTS)]):
        assert np.isnan(joined(nothing, [1, 2])).all()
        assert joined(nothing, [1, 2]).shape == (2, 48, M)


events = st.tuples(
    st.integers(0, 4),
    st.integers(0, 190).map(lambda n: n / 4),
    st.sampled_from(NAMES),
    st.integers(1, 100),
)


@given(
    st.lists(events, max_size=40),
    st.lists(st.integers(0, 40), max_size=6),
    st.sampled_from([1, 2, 3]),
)
def test_the_grid_does_not_depend_on_how_the_events_are_cut(
    rows: list[tuple[int, float, str, int]], cuts: list[int], bin_hours: int
) -> None:
    hours, stay_id = range(0, 48, bin_hours), list(range(5))
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    whole = event_batches(*rows)
    parts = [batch[a:b] for batch in whole for a, b in pairwise(edges)]
    np.testing.assert_array_equal(joined(parts, stay_id, hours), joined(whole, stay_id, hours))


MIXED = ("mechvent", "lactate", "urine", "gcs", "heartrate")
RULES = {"mechvent": "max", "lactate": "mean", "urine": "sum", "gcs": "last", "heartrate": "mean"}


def test_a_bin_of_two_hours_is_a_sum_a_last_value_or_any_value() -> None:
    """The last of two values at one time is the larger one: events are sorted by value too."""
    urine = [(7, 0.5, "urine", 40.0), (7, 1.9, "urine", 60.0), (7, 2.0, "urine", 0.0)]
    gcs = [(7, 0.5, "gcs", 15.0), (7, 1.5, "gcs", 9.0), (7, 1.5, "gcs", 7.0), (7, 2, "gcs", 3.0)]
    vent = [(7, 0.1, "mechvent", 0.0), (7, 0.2, "mechvent", 1.0), (7, 3, "mechvent", 0.0)]
    heart = [(7, 0.1, "heartrate", 80.0), (7, 0.2, "heartrate", 100.0)]
    batches = event_batches(*urine, *gcs, *vent, *heart, names=MIXED)
    found = joined(batches, [7], range(0, 6, 2), MIXED)
    expected = [[1, NAN, 100, 9, 90], [0, NAN, 0, 3, NAN], [NAN] * 5]
    np.testing.assert_array_equal(found[0], np.array(expected, np.float32))


mixed_events = st.tuples(
    st.integers(0, 3),
    st.integers(0, 40).map(lambda n: n / 4),
    st.sampled_from(MIXED),
    st.integers(0, 100),
)


@given(
    st.lists(mixed_events, max_size=50),
    st.lists(st.integers(0, 50), max_size=6),
    st.sampled_from([1, 2, 3]),
    st.lists(st.sampled_from(MIXED), min_size=1, unique=True),
)
def test_the_grid_of_any_set_agrees_with_pandas(
    rows: list[tuple[int, float, str, int]], cuts: list[int], bin_hours: int, names: list[str]
) -> None:
    """Whatever the order of the columns, and however the events are cut. Others are left out."""
    rows = [(s, h, m, v > 50 if m == "mechvent" else v) for s, h, m, v in rows]
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [b[i:j] for b in event_batches(*rows, names=MIXED) for i, j in pairwise(edges)]
    hours = range(0, 12, bin_hours)
    found = joined(parts, [0, 1, 2, 3], hours, names)
    frame = pd.DataFrame(sorted(rows), columns=["stay", "hour", "name", "value"])
    frame["bin"] = frame["hour"] // bin_hours
    for j, name in enumerate(names):
        own = frame[frame["name"] == name].astype({"value": float}).groupby(["stay", "bin"])
        table = own["value"].agg(RULES[name]).unstack()
        expected = table.reindex(index=range(4), columns=range(len(hours)))
        np.testing.assert_allclose(found[..., j], expected.to_numpy(np.float32), rtol=1e-6)


def test_measurements_go_by_their_names_however_the_file_numbers_them() -> None:
    table = pa.table(
        {
            "stay_id": pa.array([1, 1], pa.int64()),
            "hour": pa.array([0, 1], pa.float32()),
            "measurement": pa.DictionaryArray.from_arrays(
                pa.array([0, 1], pa.int8()), pa.array(["spo2", "potassium"])
            ),
            "value": pa.array([97, 4], pa.float32()),
        },
        EVENTS,
    )
    grid = joined(table.to_batches(), [1])
    assert (grid[0, 0, NAMES.index("spo2")], grid[0, 1, NAMES.index("potassium")]) == (97, 4)


@pytest.mark.parametrize(
    ("interpolation", "limit_direction", "expected"),
    [
        ("linear", "both", [2, 2, 4, 6, 8, 8]),
        ("linear", "forward", [NAN, 2, 4, 6, 8, 8]),
        ("linear", "backward", [2, 2, 4, 6, 8, NAN]),
        ("previous", "both", [2, 2, 2, 2, 8, 8]),
        ("previous", "forward", [NAN, 2, 2, 2, 8, 8]),
        ("previous", "backward", [2, 2, 2, 2, 8, NAN]),
        ("none", "both", [NAN, 2, NAN, NAN, 8, NAN]),
    ],
)
def test_gaps_by_hand(interpolation: str, limit_direction: str, expected: list[float]) -> None:
    given_grid = column(NAN, 2, NAN, NAN, 8, NAN)
    result = fill_gaps(given_grid, interpolation, limit_direction)
    np.testing.assert_array_equal(result, column(*expected))
    np.testing.assert_array_equal(
        given_grid, column(NAN, 2, NAN, NAN, 8, NAN)
    )  # the argument is as it was
    assert result.dtype == np.float32


def test_measurement_never_observed_stays_unobserved() -> None:
    assert np.isnan(fill_gaps(column(NAN, NAN, NAN), "linear", "both")).all()


sparse_grids = arrays(
    np.float32, (2, 9, M), elements=st.one_of(st.just(NAN), st.floats(-1e4, 1e4, width=32))
)
directions = st.sampled_from(["both", "forward", "backward"])


@given(sparse_grids, st.sampled_from(["linear", "previous", "none"]), directions)
def test_filling_agrees_with_a_slow_reference(
    grid: np.ndarray, interpolation: str, limit_direction: str
) -> None:
    result = fill_gaps(grid, interpolation, limit_direction)
    for stay, ours in zip(grid, result, strict=True):
        for j in range(M):
            series = [None if np.isnan(v) else float(v) for v in stay[:, j]]
            expected = [
                NAN if v is None else v for v in filled(series, interpolation, limit_direction)
            ]
            np.testing.assert_allclose(ours[:, j], expected, rtol=1e-5, atol=1e-2)


@given(sparse_grids, directions)
def test_linear_filling_is_pandas_interpolation(grid: np.ndarray, limit_direction: str) -> None:
    result = fill_gaps(grid, "linear", limit_direction)
    for stay, ours in zip(grid, result, strict=True):
        # pandas fills the ends too when a direction is given; limit_area inside is what lies between observations
        frame = pd.DataFrame(stay.astype(np.float64))
        reference = frame.interpolate("linear", limit_area="inside")
        if limit_direction in ("both", "forward"):
            reference = reference.where(reference.notna(), frame.ffill())
        if limit_direction in ("both", "backward"):
            reference = reference.where(reference.notna(), frame.bfill())
        np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-2)


@given(sparse_grids)
def test_filling_never_changes_an_observed_cell_nor_leaves_the_observed_range(
    grid: np.ndarray,
) -> None:
    result, seen = fill_gaps(grid, "linear", "both"), np.isfinite(grid)
    np.testing.assert_array_equal(result[seen], grid[seen])
    for i, j in np.argwhere(seen.any(axis=1)):
        values = grid[i, seen[i, :, j], j]
        slack = 1e-5 * (np.abs(values).max() + 1)
        assert result[i, :, j].min() >= values.min() - slack
        assert result[i, :, j].max() <= values.max() + slack


def test_time_since_observed_by_hand() -> None:
    since = since_observed(np.isfinite(column(NAN, 1, NAN, NAN, 1)))
    np.testing.assert_allclose(since, column(1, 0, 0.2, 0.4, 0))
