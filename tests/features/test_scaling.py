import dataclasses
from pathlib import Path

import numpy as np
import pytest
from feature_tables import event_batches, make_stays
from hypothesis import given, settings
from hypothesis import strategies as st
from literature_set import NAMES, M
from slow_reference import model_input

from icu_adversarial.features.grid import grids
from icu_adversarial.features.scaling import CHUNK, Scaler, fit_scaler
from icu_adversarial.features.statics import NO_STATICS

OPTIONS = {
    "interpolation": "linear",
    "limit_direction": "both",
    "lower_percentile": 5.0,
    "upper_percentile": 95.0,
}


def make_grid(seed: int = 0, stays: int = 50, hours: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = rng.normal(100, 20, (stays, hours, M)).astype(np.float32)
    grid[rng.random(grid.shape) < 0.6] = np.nan
    return grid


def fit(grid: np.ndarray, *channels: str) -> Scaler:
    return fit_scaler(grid, NAMES, **OPTIONS, extra_channels=channels)


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
    np.testing.assert_allclose(
        x[0, 3], (scaler.median - scaler.lower) / scaler.clinical_span, rtol=1e-6
    )


def test_measurement_that_training_never_saw_is_a_constant_that_no_attack_may_move() -> None:
    grid = make_grid()
    grid[..., 1] = np.nan
    grid[..., 2] = 7.0
    scaler = fit(grid)
    assert not scaler.perturbable[1]
    assert not scaler.perturbable[2]
    assert scaler.perturbable.sum() == M - 2
    assert (scaler.apply(make_grid(1))[..., 1:3] == 0).all()


def test_a_binary_measurement_is_0_or_1_and_absent_is_0() -> None:
    """Whatever the percentiles: in 40 of 41 training stays every value is 1."""
    grid = np.full((41, 4, 3), np.nan, np.float32)
    grid[:40, 1, 1] = 1
    names = ("lactate", "mechvent", "ph")
    scaler = fit_scaler(grid, names, **OPTIONS, extra_channels=("observed",))
    assert (scaler.lower[1], scaler.upper[1], scaler.median[1]) == (0, 1, 0)
    assert scaler.perturbable.tolist() == [False, True, False]
    x = scaler.apply(grid[[0, 40]])
    assert x.shape == (2, 4, 6)
    assert x[..., 1].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]  # not filled along time
    assert x[..., 4].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_a_binary_measurement_that_training_never_saw_may_not_be_moved() -> None:
    scaler = fit_scaler(np.full((5, 4, 1), np.nan, np.float32), ("mechvent",), **OPTIONS)
    assert not scaler.perturbable.any()
    assert (scaler.apply(np.ones((1, 4, 1), np.float32)) == 0).all()


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


def test_an_impossible_value_counts_as_the_limit_in_the_hours_around_it() -> None:
    """pH 7.3, then 735 at hour 4, then 7.3 at hour 8; the limits are 7.1 and 7.5.

    Filled first, as lstm_adversarial_attack does, the hours between stand at the upper limit.
    """
    scaler = Scaler(
        NAMES, *(np.full(M, limit, np.float32) for limit in (7.1, 7.5, 7.3)), "linear", "both", ()
    )
    grid = np.full((1, 9, M), np.nan, np.float32)
    grid[0, [0, 4, 8], 2] = 7.3, 735, 7.3
    x = scaler.apply(grid)[0, :, 2]
    between = 0.5 + np.array([0, 1, 2, 3, 4, 3, 2, 1, 0]) / 8
    np.testing.assert_allclose(x, between, atol=1e-5)
    filled_first = dataclasses.replace(scaler, winsorise="after_gaps").apply(grid)[0, :, 2]
    np.testing.assert_allclose(filled_first, [0.5, 1, 1, 1, 1, 1, 1, 1, 0.5], atol=1e-5)


def test_without_interpolation_an_unobserved_value_stays_unobserved() -> None:
    """For models that take the mask; a network reads it as 0."""
    grid = make_grid()
    filled = fit(grid, "observed")
    scaler = dataclasses.replace(filled, interpolation="none")
    x, seen = scaler.apply(grid), np.isfinite(grid)
    np.testing.assert_array_equal(np.isnan(x[..., :M]), ~seen)
    np.testing.assert_array_equal(x[..., :M][seen], filled.apply(grid)[..., :M][seen])
    np.testing.assert_array_equal(x[..., M:], seen)


def test_forward_filling_takes_the_median_before_the_first_observation() -> None:
    scaler = dataclasses.replace(
        fit(make_grid()), interpolation="previous", limit_direction="forward"
    )
    grid = np.full((1, 4, M), np.nan, np.float32)
    grid[0, 1], grid[0, 3] = 90, 110
    values = scaler.to_clinical(scaler.apply(grid))[0, :, 5]
    np.testing.assert_allclose(values, [scaler.median[5], 90, 90, 110], rtol=1e-5)


def test_more_stays_than_are_scaled_at_a_time() -> None:
    grid = make_grid(3, stays=2 * CHUNK + 1)
    scaler = fit(grid, "observed", "hours_since_observed")
    one_by_one = np.concatenate([scaler.apply(grid[i : i + 1]) for i in range(len(grid))])
    np.testing.assert_array_equal(scaler.apply(grid), one_by_one)


events = st.tuples(
    st.sampled_from([0.0, 0.5, 1.0, 1.75, 2.0, 3.0, 5.25, 6.0, 11.5]),
    st.integers(0, M - 1),
    st.integers(1, 40),
)


@given(
    st.lists(st.lists(events, max_size=30, unique_by=lambda e: e[:2]), min_size=2, max_size=4),
    st.sampled_from(["linear", "previous", "none"]),
    st.sampled_from(["both", "forward", "backward"]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([(5.0, 95.0), (0.0, 100.0), (10.0, 60.0)]),
    st.sampled_from([("observed",), ("hours_since_observed", "observed")]),
    st.sampled_from(["before_gaps", "after_gaps"]),
)
@settings(max_examples=150)
def test_the_whole_way_from_events_agrees_with_a_slow_reference(
    stays: list[list[tuple[float, int, int]]],
    interpolation: str,
    limit_direction: str,
    bin_hours: int,
    percentiles: tuple[float, float],
    channels: tuple[str, ...],
    winsorise: str,
) -> None:
    """Events → grid → scaler fitted on all stays but the last → model input of all stays."""
    hours = range(0, 12, bin_hours)
    options = {
        "interpolation": interpolation,
        "limit_direction": limit_direction,
        "extra_channels": channels,
        "winsorise": winsorise,
    }
    options |= {"lower_percentile": percentiles[0], "upper_percentile": percentiles[1]}
    batches = event_batches(
        *((i, h, NAMES[j], v) for i, stay in enumerate(stays) for h, j, v in stay)
    )
    grid = np.concatenate([part for _, part in grids(batches, np.arange(len(stays)), hours, NAMES)])
    x = fit_scaler(grid[:-1], NAMES, **options).apply(grid)
    expected = model_input(stays, list(range(len(stays) - 1)), hours, options)
    np.testing.assert_allclose(
        x, np.array(expected, np.float64), rtol=0, atol=1e-3
    )  # float32, over a span that may be as small as 0.03


@pytest.mark.parametrize("statics", [(), ("age", "sex", "icu_type"), ("icu_type",)])
@pytest.mark.parametrize("channels", [(), ("observed",), ("hours_since_observed", "observed")])
def test_saved_and_loaded_scaler_gives_the_same_bytes(
    tmp_path: Path, channels: tuple[str, ...], statics: tuple[str, ...]
) -> None:
    stays = make_stays(age=[50.1, 63.7, None], sex=["F", None, "M"], icu_type=["CCU", "MICU", None])
    scaler = fit_scaler(
        make_grid(stays=3), NAMES, stays, **OPTIONS, extra_channels=channels, static_inputs=statics
    )
    scaler.save(tmp_path / "scaler.json")
    loaded, grid = Scaler.load(tmp_path / "scaler.json"), make_grid(2, stays=3)
    np.testing.assert_array_equal(loaded.apply(grid, stays), scaler.apply(grid, stays))
    assert (loaded.statics, loaded.channels) == (scaler.statics, scaler.channels)


def test_static_inputs_are_the_last_channels_at_every_hour() -> None:
    stays = make_stays(age=[50.0, 70.0], sex=["F", "M"])
    scaler = fit_scaler(
        make_grid(stays=2),
        NAMES,
        stays,
        **OPTIONS,
        extra_channels=("observed",),
        static_inputs=("age", "sex"),
    )
    grid = make_grid(1, stays=2)
    x = scaler.apply(grid, stays)
    assert x.shape[2] == scaler.channels == 2 * M + 2
    np.testing.assert_allclose(
        x[..., 2 * M :], np.broadcast_to([[[-1, 1]], [[1, 0]]], (2, 12, 2)), rtol=1e-6
    )
    np.testing.assert_array_equal(
        x[..., : 2 * M], dataclasses.replace(scaler, statics=NO_STATICS).apply(grid)
    )
    np.testing.assert_array_equal(scaler.values(grid), x[..., :M])


def test_static_inputs_without_stays_are_not_passed_over() -> None:
    with pytest.raises(ValueError, match=r"fit_scaler\(grid, names, stays"):
        fit_scaler(make_grid(), NAMES, **OPTIONS, static_inputs=("age",))
    scaler = fit_scaler(
        make_grid(stays=1), NAMES, make_stays(age=[50.0]), **OPTIONS, static_inputs=("age",)
    )
    with pytest.raises(ValueError, match=r"apply\(grid, stays\) needs the stays"):
        scaler.apply(make_grid())
