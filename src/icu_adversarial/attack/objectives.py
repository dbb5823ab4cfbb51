"""How good the examples of an attack are (the objectives of tune_attack), and their summary."""

from typing import Any

import numpy as np
import pandas as pd

from icu_adversarial.attack.api import DIRECTIONS, NONZERO


def score(
    objective: str, examples: pd.DataFrame, *, cells: int, max_perts: int, stays: int | None = None
) -> float:
    """Score the best examples of an attack; larger is better.

    `robust_l0` and `robust_l1` are the success rate. Of equal rates, the smaller median L0 or L1 of
    the flipped stays is better: 1 - median / cells is added, with a weight of less than one stay.

    With n = L0 and f = n / cells, the other objectives are sums over the flipped stays:

    - `sparsity`: 1 - f
    - `max_num_nonzero_perts`: 1 if n <= max_perts, else 0
    - `sparse_small`: (1 - f) / L1
    - `sparse_small_max`: (1 - f) / Linf

    The last two are large where a norm is small. So the few stays next to the decision boundary
    decide them, and it hardly matters whether a stay far from it is flipped.

    Args:
        objective: One of these names.
        examples: Rows of schemas.EXAMPLES of one kind, one per attacked stay.
        cells: The number of cells that a perturbation could change, T * M.
        max_perts: The cells that `max_num_nonzero_perts` allows.
        stays: The number of stays to attack, where not all have been attacked yet. None: all have.

    Raises:
        ValueError: The objective is unknown.
    """
    flipped = examples[examples["success"]]
    l0, l1, linf = (flipped[name].to_numpy(np.float64) for name in ("l0", "l1", "linf"))
    untouched = 1 - l0 / cells
    match objective:
        case "robust_l0" | "robust_l1":
            norm = l0 if objective == "robust_l0" else l1
            return (
                float((len(norm) + 1 - np.median(norm) / cells) / (stays or len(examples)))
                if len(norm)
                else 0.0
            )
        case "sparsity":
            return float(untouched.sum())
        case "max_num_nonzero_perts":
            return float((l0 <= max_perts).sum())
        case "sparse_small":
            # Every example has a cell above NONZERO: the bound only avoids a division by zero.
            return float((untouched / np.maximum(l1, NONZERO)).sum())
        case "sparse_small_max":
            return float((untouched / np.maximum(linf, NONZERO)).sum())
    raise ValueError(f"unknown objective {objective!r}")


def summarise(examples: pd.DataFrame) -> dict[str, float | int | None]:
    """Summarise the examples of one kind.

    Args:
        examples: Rows of schemas.EXAMPLES of one kind, one per attacked stay.

    Returns:
        `attacked`, the number of stays; `success_rate`, the share of them that is flipped;
        `median_l0`, `median_l1`, `median_linf` and `median_iteration` over the flipped stays. None
        where there is nothing to count.
    """
    flipped = examples[examples["success"]]
    medians = {
        f"median_{name}": float(flipped[name].median()) if len(flipped) else None
        for name in ("l0", "l1", "linf", "iteration")
    }
    return {
        "attacked": len(examples),
        "success_rate": len(flipped) / len(examples) if len(examples) else None,
        **medians,
    }


def metrics(
    examples: pd.DataFrame, objective: str, *, cells: int, max_perts: int
) -> dict[str, Any]:
    """Describe the best examples of an attack, in all and by direction.

    Args:
        examples: The table schemas.EXAMPLES.
        objective: The objective of `score`.
        cells: The number of cells that a perturbation could change, T * M.
        max_perts: As for `score`.

    Returns:
        `score`, the values of `summarise`, and `median_first_iteration`, the median iteration of
        the first examples; then the same for `0_to_1` and `1_to_0`.
    """

    def group(members: pd.DataFrame) -> dict[str, float | int | None]:
        first, best = (members[members["kind"] == kind] for kind in ("first", "best"))
        return {
            "score": score(objective, best, cells=cells, max_perts=max_perts),
            **summarise(best),
            "median_first_iteration": summarise(first)["median_iteration"],
        }

    return group(examples) | {
        direction.replace("→", "_to_"): group(examples[examples["direction"] == direction])
        for direction in DIRECTIONS
    }
