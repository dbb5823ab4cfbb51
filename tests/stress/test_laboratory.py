"""Laboratory error: exact on a linear model, and no random error below the factor flips."""

import numpy as np
from stress_world import N, linear, make_question, weights

from icu_adversarial.measurements import DICTIONARY
from icu_adversarial.records.recorded import Edits
from icu_adversarial.stress.laboratory import TRIED, factors

DRAWS = 200


def errors(question) -> np.ndarray:
    records = question.records
    found = np.zeros(len(records.value))
    for j, name in enumerate(records.names):
        own = records.measurement == j
        found[own] = DICTIONARY[name].allowable_error(records.value[own])
    return found


def test_the_factor_of_a_linear_model_is_the_margin_divided_by_the_error_of_the_risk() -> None:
    question = make_question(threshold=0.5)
    records, w = question.records, weights()
    per_factor = np.bincount(records.stay, np.abs(w[records.measurement]) * errors(question))
    expected = np.abs(question.before() - 0.5) / per_factor
    expected[expected > TRIED[-1]] = np.inf
    found = factors(question)
    assert np.isfinite(found).sum() > N / 2
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_no_random_error_below_the_factor_flips() -> None:
    question = make_question(threshold=0.5)
    factor, records, rng = factors(question), question.records, np.random.default_rng(0)
    for i in np.flatnonzero(np.isfinite(factor)):
        event = np.flatnonzero(records.stay == i)
        box = 0.99 * factor[i] * errors(question)[event]
        value = records.value[event] + rng.uniform(-1, 1, (DRAWS, len(event))) * box
        value[: DRAWS // 2] = records.value[event] + rng.choice([-1, 1], (DRAWS // 2, 1)) * box
        edits = Edits(
            np.full(DRAWS, i),
            np.repeat(np.arange(DRAWS), len(event)),
            np.tile(event, DRAWS),
            np.tile(records.hour[event], DRAWS),
            value.astype(np.float32).reshape(-1),
        )
        after = question.after(edits) >= 0.5
        assert (after == (question.before()[i] >= 0.5)).all()


def test_measurements_without_an_effect_never_flip() -> None:
    question = make_question(lambda grid, stays: 0 * linear(grid, stays) - 1)
    assert np.isinf(factors(question)).all()
