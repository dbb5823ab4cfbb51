import numpy as np
import pytest

from icu_adversarial.evaluate.measures import scores
from icu_adversarial.model.calibration import (
    SMALLEST_SLOPE,
    Calibration,
    cross_fitted,
    fit_calibration,
)
from icu_adversarial.model.scores import log_loss, sigmoid


def drawn(
    temperature: float, shift: float, n: int = 40_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Log odds, and outcomes whose true probability is that of log odds / temperature + shift."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-1, 2, n)
    return log_odds, rng.random(n) < sigmoid(log_odds / temperature + shift)


@pytest.mark.parametrize(("temperature", "shift"), [(1, 0), (2.5, -0.7), (0.4, 1)])
def test_known_temperature_and_shift_are_found(temperature: float, shift: float) -> None:
    found = fit_calibration(*drawn(temperature, shift))
    assert 1 / found.slope == pytest.approx(temperature, rel=0.05)
    assert not found.bounded
    assert found.shift == pytest.approx(shift, abs=0.06)


def test_no_other_temperature_and_shift_has_a_lower_loss() -> None:
    log_odds, died = drawn(1.7, -0.5, n=300, seed=1)
    best = log_loss(died, fit_calibration(log_odds, died).probability(log_odds))
    for temperature in np.linspace(0.2, 5, 49):
        for shift in np.linspace(-2, 2, 41):
            assert (
                best
                <= log_loss(died, Calibration(1 / temperature, shift).probability(log_odds)) + 1e-9
            )


def test_calibration_mends_an_overconfident_model() -> None:
    log_odds, died = drawn(3, 0.5)
    fold = np.arange(len(died)) % 5 - 1
    before, after = (
        scores(died, p, p, p > 0.5, p > 0.5)
        for p in (sigmoid(log_odds), cross_fitted(log_odds, died, fold))
    )
    assert before["calibration_error"][0] > 0.1
    assert after["calibration_error"][0] < 0.01
    assert after["brier"][0] < before["brier"][0]


def test_a_stay_has_no_part_in_its_own_calibration() -> None:
    log_odds, died = drawn(2, 0, n=500)
    fold = np.arange(500) % 5 - 1
    before = cross_fitted(log_odds, died, fold)
    for k in (-1, 2):
        changed = np.where(fold == k, ~died, died)
        np.testing.assert_array_equal(
            cross_fitted(log_odds, changed, fold)[fold == k], before[fold == k]
        )


@pytest.mark.parametrize("sign", [-1, 0])
def test_log_odds_that_do_not_rank_give_almost_the_prevalence_in_their_own_order(
    sign: int,
) -> None:
    log_odds, died = drawn(1, 0, n=2000)
    log_odds = sign * log_odds if sign else np.random.default_rng(5).normal(-1, 2, 2000) - died
    found = fit_calibration(log_odds, died)
    assert found.bounded
    assert found.slope == SMALLEST_SLOPE > 0
    probability = found.probability(log_odds)
    np.testing.assert_allclose(probability, died.mean(), atol=0.03)
    assert probability.mean() == pytest.approx(died.mean(), abs=1e-9)
    np.testing.assert_array_equal(np.argsort(probability), np.argsort(log_odds))


def test_the_shift_of_a_bounded_slope_has_the_lowest_loss() -> None:
    log_odds, died = drawn(1, 0, n=500, seed=3)
    found = fit_calibration(-log_odds, died)
    losses = [
        log_loss(died, found._replace(shift=found.shift + step).probability(-log_odds))
        for step in (-0.01, 0, 0.01)
    ]
    assert np.argmin(losses) == 1


def test_equal_log_odds_have_a_calibration() -> None:
    found = fit_calibration(np.full(40, 7.0), np.arange(40) < 10)
    assert found.probability(np.array([7.0]))[0] == pytest.approx(0.25)
