from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icu_adversarial.attack.objectives import score, summarise
from icu_adversarial.config.base import Objective


def examples(
    l0: list[float], l1: list[float], linf: list[float], failures: int = 0
) -> pd.DataFrame:
    """Flipped stays with these norms, and some that failed."""
    flipped = pd.DataFrame({"success": True, "l0": l0, "l1": l1, "linf": linf})
    return pd.concat([flipped, pd.DataFrame({"success": [False] * failures})]).astype(
        {"success": bool}
    )


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("sparsity", [1 - 1 / 912, 1 - 10 / 912, 1 - 11 / 912, 0]),
        ("max_num_nonzero_perts", [1, 1, 0, 0]),
        ("sparse_small", [(1 - 1 / 912) / 0.5, (1 - 10 / 912) / 2, (1 - 11 / 912) / 4, 0]),
        ("sparse_small_max", [(1 - 1 / 912) / 0.5, (1 - 10 / 912) / 0.4, (1 - 11 / 912), 0]),
    ],
)
def test_sums_over_stays_in_closed_form(objective: str, expected: list[float]) -> None:
    l0, l1, linf = [1, 10, 11, 912], [0.5, 2, 4, 300], [0.5, 0.4, 1, 1]
    options = {"cells": 912, "max_perts": 10}
    assert [
        score(objective, examples([a], [b], [c]), **options)
        for a, b, c in zip(l0, l1, linf, strict=True)
    ] == pytest.approx(expected, abs=1e-12)
    assert score(objective, examples(l0, l1, linf, failures=3), **options) == pytest.approx(
        sum(expected)
    )


def test_the_robust_objectives_put_success_first_and_the_median_second() -> None:
    options = {"cells": 912, "max_perts": 10}
    for objective in ("robust_l0", "robust_l1"):
        large, small = (
            examples([900, 900, 900], [800.0, 800, 800], [1, 1, 1]),
            examples([1, 1], [0.01, 0.01], [0.01, 0.01], failures=1),
        )
        assert score(objective, large, **options) > score(objective, small, **options) > 2 / 3
        assert score(objective, examples([], [], [], failures=3), **options) == 0
    one, two = (
        examples([3, 4, 50], [9.0, 9, 9], [1, 1, 1]),
        examples([3, 5, 6], [1.0, 2, 2], [1, 1, 1]),
    )
    assert score("robust_l0", one, **options) > score("robust_l0", two, **options)
    assert score("robust_l1", one, **options) < score("robust_l1", two, **options)
    assert score("robust_l1", two, **options) == pytest.approx((3 + 1 - 2 / 912) / 3)


def test_one_stay_at_the_boundary_rules_a_sum_and_not_a_robust_objective() -> None:
    many, lucky = examples([5] * 9, [4.0] * 9, [1] * 9), examples([5], [1e-4], [1e-4], failures=8)
    options = {"cells": 912, "max_perts": 10}
    assert score("sparse_small", lucky, **options) > score("sparse_small", many, **options)
    assert score("robust_l1", lucky, **options) < score("robust_l1", many, **options)


def test_max_perts_and_the_number_of_cells_do_what_they_say() -> None:
    one = examples([3], [1.0], [1.0])
    assert [score("max_num_nonzero_perts", one, cells=912, max_perts=n) for n in (2, 3)] == [0, 1]
    assert [score("sparsity", one, cells=n, max_perts=1) for n in (6, 12)] == [0.5, 0.75]


@given(
    st.sampled_from(get_args(Objective)),
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 911), st.floats(0.01, 900)), min_size=1, max_size=20
    ),
)
def test_what_is_reached_so_far_never_falls_and_ends_at_the_score(
    objective: str, stays: list[tuple[bool, int, float]]
) -> None:
    """A trial that failed early is told from one that fails late."""
    table = pd.DataFrame(stays, columns=["success", "l0", "l1"]).assign(linf=1.0)
    options = {"cells": 912, "max_perts": 10}
    reached = [
        score(objective, table[:n], stays=len(table), **options) for n in range(1, len(table) + 1)
    ]
    assert (np.diff(reached) > -1e-9).all()
    assert reached[-1] == score(objective, table, **options)


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="sparse_big"):
        score("sparse_big", examples([1], [1.0], [1.0]), cells=912, max_perts=1)


@given(st.sampled_from(get_args(Objective)), st.integers(1, 911), st.floats(0, 900))
def test_fewer_cells_and_smaller_norms_never_score_less(
    objective: str, l0: int, size: float
) -> None:
    less, more = (
        score(objective, examples([l0 + d], [size + d], [size + d]), cells=912, max_perts=10)
        for d in (0, 1)
    )
    assert np.isfinite([less, more]).all()
    assert less >= more >= 0


def test_summary_of_hand_made_examples() -> None:
    examples = pd.DataFrame(
        {
            "success": [True, True, True, False],
            "iteration": [4, 8, 90, -1],
            "l0": [1.0, 5.0, 9.0, np.nan],
            "l1": [0.5, 0.75, 3.0, np.nan],
            "linf": [0.5, 0.25, 1.0, np.nan],
        }
    )
    expected = {
        "attacked": 4,
        "success_rate": 0.75,
        "median_l0": 5.0,
        "median_l1": 0.75,
        "median_linf": 0.5,
        "median_iteration": 8.0,
    }
    assert summarise(examples) == expected


def test_summary_of_nothing_is_null_not_nan() -> None:
    nothing = pd.DataFrame(
        {
            name: pd.Series(dtype=bool if name == "success" else float)
            for name in ("success", "iteration", "l0", "l1", "linf")
        }
    )
    medians = dict.fromkeys(("median_l0", "median_l1", "median_linf", "median_iteration"))
    assert summarise(nothing) == {"attacked": 0, "success_rate": None, **medians}
    failed = nothing.reindex([0]).assign(success=False)
    assert summarise(failed) == {"attacked": 1, "success_rate": 0.0, **medians}
