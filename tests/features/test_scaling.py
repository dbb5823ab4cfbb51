from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icu_adversarial.features.scaling import Scaler, fit_scaler
from icu_adversarial.measurements import M

OPTIONS = {"interpolation": "linear", "limit_direction": "both", "lower_percentile": 5.0, "upper_percentile": 95.0}


def make_grid(seed: int = 0, stays: int = 50, hours: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = rng.normal(100, 20, (stays, hours, M)).astype(np.float32)
    grid[rng.random(grid.shape) < 0.6] = np.nan
    return grid


def fit(grid: np.ndarray, *channels: str) -> Scaler:
    return fit_scaler(grid, **OPTIONS, extra_channels=channels)


def test_percentiles_and_median_are_those_of_the_observed_cells() -> None:
    grid = np.full((1, 101, M), np.nan, np.float32)
    grid[0, :, 4] = np.arange(101)  # percentile p of 0..100 is p
    scaler = fit(grid)
    assert (scaler.lower[4], scaler.median[4], scaler.upper[4]) == (5, 50, 95)
    x = scaler.apply(grid)[0, :, 4]
    assert x[0] == x[5] == 0.0
    assert x[50] == 0.5
    assert x[95] == x[100] == 1.0


def test_unobserved_measurement_takes_the_training_median() -> None:
    scaler = fit(make_grid())
    x = scaler.apply(np.full((1, 12, M), np.nan, np.float32))
    np.testing.assert_allclose(x[0, 3], (scaler.median - scaler.lower) / scaler.clinical_span, rtol=1e-6)


def test_measurement_that_training_never_saw_is_a_constant_that_no_attack_may_move() -> None:
    grid = make_grid()
    grid[..., 1] = np.nan
    grid[..., 2] = 7.0
    scaler = fit(grid)
    assert not scaler.perturbable[1]
    assert not scaler.perturbable[2]
    assert scaler.perturbable.sum() == M - 2
    assert (scaler.apply(make_grid(1))[..., 1:3] == 0).all()


@given(st.integers(0, 1000))
def test_values_lie_in_the_unit_interval_and_invert_to_clinical_units(seed: int) -> None:
    scaler, grid = fit(make_grid()), make_grid(seed, stays=3)
    x = scaler.apply(grid)
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() <= 1
    inside = np.isfinite(grid) & (grid > scaler.lower) & (grid < scaler.upper)
    np.testing.assert_allclose(scaler.to_clinical(x)[inside], grid[inside], rtol=1e-4)


def test_imputed_cells_indistinguishable_from_measured_ones_is_ruled_out() -> None:
    """Two stays with the same values after imputation, one measured and one not, differ in the model's input."""
    scaler = fit(make_grid(), "observed", "hours_since_observed")
    unmeasured = np.full((1, 12, M), np.nan, np.float32)
    measured = np.broadcast_to(scaler.median, (1, 12, M)).copy()
    a, b = scaler.apply(unmeasured), scaler.apply(measured)
    np.testing.assert_allclose(a[..., :M], b[..., :M], atol=1e-6)
    assert (a[..., M : 2 * M] == 0).all()
    assert (b[..., M : 2 * M] == 1).all()
    assert (a[..., 2 * M :] == 1).all()  # never observed: the whole window
    assert (b[..., 2 * M :] == 0).all()
    assert a.shape[2] == scaler.channels == 3 * M


@pytest.mark.parametrize("channels", [(), ("observed",), ("hours_since_observed", "observed")])
def test_saved_and_loaded_scaler_gives_the_same_bytes(tmp_path: Path, channels: tuple[str, ...]) -> None:
    scaler, grid = fit(make_grid(), *channels), make_grid(2)
    scaler.save(tmp_path / "scaler.json")
    np.testing.assert_array_equal(Scaler.load(tmp_path / "scaler.json").apply(grid), scaler.apply(grid))
