"""Omitted values: mask and filled value follow, and a model without masks ignores the mask."""

import numpy as np
from literature_set import NAMES
from stress_world import linear, make_question, weights

from icu_adversarial.features.grid import fill_gaps
from icu_adversarial.stress.moves import reach
from icu_adversarial.stress.omission import omissions, presence


def counted(grid, stays):
    """The number of observed cells: a model of the mask alone."""
    return np.isfinite(grid).sum((1, 2)).astype(float)


def filled(grid, stays):
    """A linear model of the filled grid, which does not read the mask."""
    return np.nan_to_num(fill_gaps(grid, "linear", "both") * weights()).sum((1, 2))


def test_each_omitted_value_is_one_observed_cell_less() -> None:
    question = make_question(counted)
    found = reach(question, omissions(question), (1, 2, 4), 8)
    cells = np.minimum(np.bincount(question.records.stay)[:, None], [1, 2, 4])
    np.testing.assert_array_equal(question.before()[:, None] - found[:, 0], cells)
    np.testing.assert_array_equal(found[:, 1], question.before()[:, None].repeat(3, 1))


def test_without_masks_only_the_interpolated_value_counts() -> None:
    question = make_question(filled)
    column = NAMES.index("spo2")  # all of its values are the same, so that a neighbour fills it
    rows = np.bincount(question.records.stay[question.records.measurement == column])
    assert rows.max() > 1
    moves = omissions(question)
    moves = moves._replace(
        event=moves.event[question.records.measurement == column],
        value=moves.value[question.records.measurement == column],
    )
    weighted = question._replace(
        model=question.model._replace(
            log_odds=lambda grid, stays: fill_gaps(grid, "linear", "both")[..., column].sum(1)
        ),
        rows=np.flatnonzero(rows > 1),
    )
    moves = moves._replace(
        event=moves.event[rows[question.records.stay[moves.event]] > 1],
        value=moves.value[rows[question.records.stay[moves.event]] > 1],
    )
    found = reach(weighted, moves, (1,), 4)
    np.testing.assert_array_equal(found[:, 0, 0], weighted.before())
    np.testing.assert_array_equal(found[:, 1, 0], weighted.before())


def test_presence_takes_all_values_of_one_measurement_away() -> None:
    question = make_question(linear)
    found = presence(question)
    for _, row in found.iterrows():
        grid = question.grid[[row["row"]]].copy()
        grid[..., NAMES.index(row["measurement"])] = np.nan
        np.testing.assert_allclose(row["without"], linear(grid, question.stays)[0], atol=1e-5)
    assert (found["with_values"] != found["without"]).any()
