"""What counts as a perturbed cell and as a flip, how good an example is (the objectives of tune_attack), and the summary of many."""

import numpy as np
import pandas as pd

NONZERO = 1e-6  # a cell is perturbed when |P| lies above (model input units)
FLIP_MARGIN = -5e-5  # an attack trusts a flip whose margin Z_y - Z_t lies below: it survives the rounding of other hardware


def score(objective: str, l0: np.ndarray, l1: np.ndarray, linf: np.ndarray, *, cells: int, max_perts: int) -> np.ndarray:
    """Quality of each example, larger is better; with n = L0 and f = n / cells:

    `sparsity` 1 - f; `max_num_nonzero_perts` 1 if n <= max_perts else 0; `sparse_small` (1 - f) / L1; `sparse_small_max` (1 - f) / Linf.
    The last two are as large as the norm is small: their sum over stays is ruled by the few stays next to the decision boundary.

    l0, l1, linf: (K,), norms of the perturbations in model input units. cells: those a perturbation could touch, T * 19.
    Returns float64 (K,). Raises ValueError for an unknown objective.
    """
    l0, l1, linf = (np.asarray(norm, np.float64) for norm in (l0, l1, linf))
    untouched = 1 - l0 / cells
    match objective:
        case "sparsity":
            return untouched
        case "max_num_nonzero_perts":
            return (l0 <= max_perts).astype(np.float64)
        case "sparse_small":
            return untouched / np.maximum(l1, NONZERO)  # every example has a cell above NONZERO: the bound only keeps 1/0 away
        case "sparse_small_max":
            return untouched / np.maximum(linf, NONZERO)
    raise ValueError(f"unknown objective {objective!r}")


def summarise(examples: pd.DataFrame) -> dict[str, float | int | None]:
    """examples: rows of tables.EXAMPLES of one kind, one per attacked stay.

    Returns `attacked`, the stays; `success_rate`, their flipped share; `median_l0`, `median_l1`, `median_linf` and `median_iteration` over
    the flipped ones. None (JSON's null) where nothing is left to count.
    """
    flipped = examples[examples["success"]]
    medians = {f"median_{name}": float(flipped[name].median()) if len(flipped) else None for name in ("l0", "l1", "linf", "iteration")}
    return {"attacked": len(examples), "success_rate": len(flipped) / len(examples) if len(examples) else None, **medians}
