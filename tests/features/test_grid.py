import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from icu_adversarial.features.grid import fill_gaps, grid_from_events, hours_since_observed
from icu_adversarial.measurements import M

NAN = np.nan


def column(*values: float) -> np.ndarray:
    """One stay, one measurement repeated 19 times: (1, T, 19)."""
    return np.repeat(np.array(values, np.float32)[None, :, None], M, axis=2)


def test_cell_is_the_mean_of_its_hour() -> None:
    grid = grid_from_events(
        stay=np.array([0, 0, 0, 1]),
        hour=np.array([0.0, 0.99, 1.0, 2.5]),
        measurement=np.array([3, 3, 3, 18]),
        value=np.array([1.0, 3.0, 7.0, 5.0]),
        stays=2,
        window_hours=3,
    )
    assert grid.shape == (2, 3, M)
    assert grid.dtype == np.float32
    assert grid[0, 0, 3] == 2.0  # (1 + 3) / 2, both within [0, 1)
    assert grid[0, 1, 3] == 7.0  # an event on the full hour belongs to the bin that begins there
    assert grid[1, 2, 18] == 5.0
    assert np.isfinite(grid).sum() == 3


def test_no_events_is_an_unobserved_grid() -> None:
    nothing = np.array([])
    assert np.isnan(grid_from_events(nothing, nothing, nothing.astype(int), nothing, 2, 4)).all()


@pytest.mark.parametrize("hour", [-0.1, 48.0])
def test_event_outside_the_window_is_refused(hour: float) -> None:
    with pytest.raises(ValueError, match="outside the window"):
        grid_from_events(np.array([0]), np.array([hour]), np.array([0]), np.array([1.0]), 1, 48)


@pytest.mark.parametrize(
    ("interpolation", "limit_direction", "expected"),
    [
        ("linear", "both", [2, 2, 4, 6, 8, 8]),
        ("linear", "forward", [NAN, 2, 4, 6, 8, 8]),
        ("linear", "backward", [2, 2, 4, 6, 8, NAN]),
        ("previous", "both", [2, 2, 2, 2, 8, 8]),
        ("previous", "forward", [NAN, 2, 2, 2, 8, 8]),
    ],
)
def test_gaps_by_hand(interpolation: str, limit_direction: str, expected: list[float]) -> None:
    filled = fill_gaps(column(NAN, 2, NAN, NAN, 8, NAN), interpolation, limit_direction)
    np.testing.assert_array_equal(filled, column(*expected))


def test_measurement_never_observed_stays_unobserved() -> None:
    assert np.isnan(fill_gaps(column(NAN, NAN, NAN), "linear", "both")).all()


sparse_grids = arrays(np.float32, (2, 9, M), elements=st.one_of(st.just(NAN), st.floats(-1e4, 1e4, width=32)))


@given(sparse_grids, st.sampled_from(["both", "forward", "backward"]))
def test_linear_filling_is_pandas_interpolation(grid: np.ndarray, limit_direction: str) -> None:
    filled = fill_gaps(grid, "linear", limit_direction)
    for stay, ours in zip(grid, filled, strict=True):
        # pandas fills the ends too when a direction is given; limit_area inside is what lies between observations
        frame = pd.DataFrame(stay.astype(np.float64))
        reference = frame.interpolate("linear", limit_area="inside")
        if limit_direction in ("both", "forward"):
            reference = reference.where(reference.notna(), frame.ffill())
        if limit_direction in ("both", "backward"):
            reference = reference.where(reference.notna(), frame.bfill())
        np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-2)


@given(sparse_grids)
def test_filling_never_changes_an_observed_cell_nor_leaves_the_observed_range(grid: np.ndarray) -> None:
    filled, seen = fill_gaps(grid, "linear", "both"), np.isfinite(grid)
    np.testing.assert_array_equal(filled[seen], grid[seen])
    for i, j in np.argwhere(seen.any(axis=1)):
        values = grid[i, seen[i, :, j], j]
        slack = 1e-5 * (np.abs(values).max() + 1)
        assert filled[i, :, j].min() >= values.min() - slack
        assert filled[i, :, j].max() <= values.max() + slack


def test_hours_since_observed_by_hand() -> None:
    since = hours_since_observed(np.isfinite(column(NAN, 1, NAN, NAN, 1)))
    np.testing.assert_array_equal(since, column(5, 0, 1, 2, 0))
