"""Edited values: on a linear model the search finds the closed form, and more edits reach more."""

import numpy as np
from stress_world import N, linear, make_question, weights

from icu_adversarial.records.recorded import edited_grids
from icu_adversarial.stress.moves import edits_of, reach
from icu_adversarial.stress.reach import limits_of, value_moves

COUNTS = (1, 2, 4)


def gains(question, limits) -> list[np.ndarray]:
    """How far each value can raise the risk of each stay of the linear model, largest first."""
    records, w = question.records, weights()
    up = np.maximum(
        w[records.measurement] * (limits[0, records.measurement] - records.value),
        w[records.measurement] * (limits[1, records.measurement] - records.value),
    )
    return [-np.sort(-up[records.stay == i].clip(min=0)) for i in range(N)]


def test_the_highest_risk_of_a_linear_model_is_the_sum_of_the_largest_gains() -> None:
    question = make_question()
    limits = limits_of(question.grid)
    found = reach(question, value_moves(question, limits, 3), COUNTS, 8)
    for i, gain in enumerate(gains(question, limits)):
        expected = question.before()[i] + [gain[:k].sum() for k in COUNTS]
        np.testing.assert_allclose(found[i, 1], expected, rtol=1e-4, atol=1e-4)


def test_more_edits_never_reach_less_on_any_model() -> None:
    def bent(grid, stays):
        return linear(grid, stays) + np.sin(3 * linear(grid, stays))

    question = make_question(bent)
    moves = value_moves(question, limits_of(question.grid), 4)
    found = reach(question, moves, COUNTS, 6)
    assert (np.diff(found[:, 1]) >= 0).all()
    assert (np.diff(found[:, 0]) <= 0).all()
    assert (found[:, 1, 0] >= question.before()).all()
    assert (found[:, 1, 2] > found[:, 1, 0] + 1e-6).any()


def test_one_edit_is_the_best_of_all_moves() -> None:
    question = make_question()
    moves = value_moves(question, limits_of(question.grid), 4)
    edits = edits_of(question.records, moves, np.arange(len(moves.event))[:, None])
    after = linear(edited_grids(question.records, question.grid, edits), question.stays)
    found = reach(question, moves, (1,), 3)
    for i in range(N):
        assert found[i, 0, 0] == min(after[edits.stay == i].min(), question.before()[i])


def test_rows_of_one_fold_get_the_same_answers_as_among_all() -> None:
    question = make_question()
    limits, rows = limits_of(question.grid), np.array([1, 4, 9])
    part = question._replace(rows=rows)
    every = reach(question, value_moves(question, limits, 3), COUNTS, 5)
    few = reach(part, value_moves(part, limits, 3), COUNTS, 5)
    np.testing.assert_array_equal(few, every[rows])
