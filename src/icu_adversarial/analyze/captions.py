"""The captions of every figure of an attack: its number of examples and its cap.

The cap is the largest change of a cell that the attack allows. If many examples reach it, the cap
determines the size of |P|, and so GMP and S, and the model does not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS, KINDS, changes, select
from icu_adversarial.measurements import ABSENT, note

SMALL_COHORT = "The cohort is too small for conclusions."
NEAR = 1e-4  # |P| reaches the cap within this tolerance, because deltas are stored as float32


def reach(
    examples: pd.DataFrame,
    perturbations: pd.DataFrame,
    cap: float | None,
    min_l0: int,
    max_l0: int,
) -> pd.DataFrame:
    """How often examples reach the cap.

    Args:
        examples, perturbations: schemas.EXAMPLES and PERTURBATIONS.
        cap: In model input units. None if the attack has no cap.
        min_l0, max_l0: Examples with another L0 are left out.

    Returns:
        One row per direction and kind: direction, kind, attacked (stays), examples, and the shares
        of the examples (capped_examples) and of their perturbed cells (capped_cells) that reach
        the cap; NaN without a cap or an example.
    """
    rows = []
    for direction in DIRECTIONS:
        for kind in KINDS:
            chosen = select(examples, direction, kind, min_l0, max_l0)
            attacked = int(((examples.direction == direction) & (examples.kind == kind)).sum())
            shares: tuple[float, ...] = (np.nan, np.nan)
            if cap is not None and len(chosen):
                sizes = chosen.linf, changes(perturbations, chosen, kind).delta.abs()
                shares = tuple(float((size >= cap - NEAR).mean()) for size in sizes)
            rows.append((direction, kind, attacked, len(chosen), *shares))
    columns = ["direction", "kind", "attacked", "examples", "capped_examples", "capped_cells"]
    return pd.DataFrame(rows, columns=columns)


def what_differs(source: str, names: Sequence[str]) -> list[str]:
    """What names mean only in these data, for example "spo2: arterial SaO2".

    Args:
        source: extract.source.
        names: All chosen measurements.
    """
    found = {name: note(source, name, names) for name in names}
    return [f"{name}: {text}" for name, text in found.items() if text not in ("", ABSENT)]


def notes(
    reached: pd.DataFrame, cap: float | None, source: str, names: Sequence[str]
) -> dict[tuple[str, str], str]:
    """The captions of the figures, by direction and kind.

    Args:
        reached: The result of `reach`.
        cap: As in `reach`.
        source: The value of extract.source.
        names: All chosen measurements.

    Returns:
        By (direction, kind): the number of examples, the cap, how often it is reached, and what
        names mean only in these data.
    """
    differs = "".join(f" {text}." for text in what_differs(source, names))
    return {(row.direction, row.kind): _note(row, cap) + differs for row in reached.itertuples()}


def _note(row: Any, cap: float | None) -> str:
    found = f"{row.kind.capitalize()} examples: {row.examples} of {row.attacked} stays"
    if cap is None:
        return f"{found}; no cap."
    if not row.examples:
        return f"{found}; cap {cap:g}."
    return f"{found}; {row.capped_examples:.0%} at the cap of {cap:g}."


def noted(
    table: pd.DataFrame, found: dict[tuple[str, str], str], small_cohort: bool
) -> pd.DataFrame:
    """Add the captions to a table.

    Args:
        table: Has the columns direction and kind.
        found: The result of `notes`.
        small_cohort: Whether nothing can be concluded (features.cohort.cohort_warning).

    Returns:
        The table with the columns note, the caption of a panel, and warning, which a figure prints
        once.
    """
    pairs = zip(table.direction, table.kind, strict=True)
    return table.assign(
        note=[found[pair] for pair in pairs], warning=SMALL_COHORT if small_cohort else ""
    )
