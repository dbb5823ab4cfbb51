import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icu_adversarial.attack.quality import score, summarise


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("sparsity", [1 - 1 / 912, 1 - 10 / 912, 1 - 11 / 912, 0]),
        ("max_num_nonzero_perts", [1, 1, 0, 0]),
        ("sparse_small", [(1 - 1 / 912) / 0.5, (1 - 10 / 912) / 2, (1 - 11 / 912) / 4, 0]),
        ("sparse_small_max", [(1 - 1 / 912) / 0.5, (1 - 10 / 912) / 0.4, (1 - 11 / 912), 0]),
    ],
)
def test_scores_in_closed_form(objective: str, expected: list[float]) -> None:
    l0, l1, linf = np.array([1, 10, 11, 912]), np.array([0.5, 2, 4, 300]), np.array([0.5, 0.4, 1, 1])
    assert score(objective, l0, l1, linf, cells=912, max_perts=10) == pytest.approx(expected, abs=1e-12)


def test_max_perts_and_the_number_of_cells_do_what_they_say() -> None:
    l0, norm = np.array([3]), np.array([1.0])
    assert [score("max_num_nonzero_perts", l0, norm, norm, cells=912, max_perts=n)[0] for n in (2, 3)] == [0, 1]
    assert [score("sparsity", l0, norm, norm, cells=n, max_perts=1)[0] for n in (6, 12)] == [0.5, 0.75]


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="sparse_big"):
        score("sparse_big", np.array([1]), np.array([1.0]), np.array([1.0]), cells=912, max_perts=1)


@given(st.sampled_from(["sparsity", "max_num_nonzero_perts", "sparse_small", "sparse_small_max"]), st.integers(1, 911), st.floats(0, 900))
def test_fewer_cells_and_smaller_norms_never_score_less(objective: str, l0: int, size: float) -> None:
    values = score(objective, np.array([l0, l0 + 1]), np.array([size, size + 1]), np.array([size, size + 1]), cells=912, max_perts=10)
    assert np.isfinite(values).all()
    assert values[0] >= values[1] >= 0


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
    expected = {"attacked": 4, "success_rate": 0.75, "median_l0": 5.0, "median_l1": 0.75, "median_linf": 0.5, "median_iteration": 8.0}
    assert summarise(examples) == expected


def test_summary_of_nothing_is_null_not_nan() -> None:
    nothing = pd.DataFrame({name: pd.Series(dtype=bool if name == "success" else float) for name in ("success", "iteration", "l0", "l1", "linf")})
    medians = dict.fromkeys(("median_l0", "median_l1", "median_linf", "median_iteration"))
    assert summarise(nothing) == {"attacked": 0, "success_rate": None, **medians}
    failed = nothing.reindex([0]).assign(success=False)
    assert summarise(failed) == {"attacked": 1, "success_rate": 0.0, **medians}
