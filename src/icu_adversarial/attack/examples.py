"""The examples of attacked stays as tables: their norms, and their changed cells."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.attack.api import DIRECTIONS, Result
from icu_adversarial.attack.tasks import Task
from icu_adversarial.core.schemas import EXAMPLES, PERTURBATIONS, measurement_column, to_table

KINDS = Result._fields


class Found(NamedTuple):
    """The examples of a task.

    Attributes:
        examples: The columns of schemas.EXAMPLES.
        cells: The columns of schemas.PERTURBATIONS, with the number of the bin (`bin`) instead of
            its first hour, and the measurement as its column number.
    """

    examples: pd.DataFrame
    cells: pd.DataFrame


def describe(
    task: Task,
    kind: str,
    delta: np.ndarray,
    clinical: np.ndarray,
    iteration: np.ndarray,
    margin: np.ndarray,
    success: np.ndarray,
) -> Found:
    """Compute the norms and list the changed cells of a task's examples.

    Args:
        task: The attacked stays.
        kind: first or best.
        delta: The perturbations, (n, T, M), in model input units.
        clinical: The same in clinical units.
        iteration: The steps until the example was found, (n,).
        margin: The margin Z_y - Z_t of the perturbed stays, (n,).
        success: Which stays are flipped, bool (n,).

    Returns:
        One row per stay, and one row per changed cell of a flipped stay.
    """
    n = len(success)
    size = np.abs(delta).reshape(n, -1)
    failed = ~success
    examples = pd.DataFrame(
        {
            "stay_id": task.stay_id,
            "fold": np.int8(task.fold),
            "direction": np.array(DIRECTIONS)[task.y],
            "kind": kind,
            "success": success,
            "iteration": np.where(success, iteration, np.int32(-1)),
            "l0": pd.Series((size > 0).sum(1), dtype="Int32").mask(failed),
            "l1": np.where(success, size.sum(1, dtype=np.float64), np.nan).astype(np.float32),
            "linf": np.where(success, size.max(1), np.nan).astype(np.float32),
            "margin": np.where(success, margin, np.nan).astype(np.float32),
        }
    )
    row, bin_, column = np.nonzero(delta * success[:, None, None])
    cells = pd.DataFrame(
        {
            "stay_id": task.stay_id[row],
            "kind": kind,
            "bin": bin_.astype(np.int8),
            "measurement": column.astype(np.int8),
            "delta": delta[row, bin_, column],
            "delta_clinical": clinical[row, bin_, column],
            "observed": np.isfinite(task.grid[row, bin_, column]),
        }
    )
    return Found(examples, cells)


def join(found: Iterable[Found]) -> Found:
    """Put the tables of several Found, at least one, under each other."""
    return Found(*(pd.concat(frames, ignore_index=True) for frames in zip(*found, strict=True)))


def examples_table(found: Iterable[Found]) -> pa.Table:
    """schemas.EXAMPLES of all tasks, sorted by stay_id and kind (first, best)."""
    parts = [part.examples for part in found]
    if not parts:
        return EXAMPLES.empty_table()
    examples = pd.concat(parts, ignore_index=True)
    return to_table(
        examples.sort_values(["stay_id", "kind"], key=_rank, ignore_index=True), EXAMPLES
    )


def perturbations_table(found: Found, bin_hours: int, names: Sequence[str]) -> pa.Table:
    """schemas.PERTURBATIONS of a task.

    Args:
        found: The examples of the task.
        bin_hours: Hours of a row of the grid.
        names: The measurements of the columns of the grid.

    Returns:
        The table, sorted by stay_id, kind (first, best), hour and measurement.
    """
    cells = found.cells.sort_values(
        ["stay_id", "kind", "bin", "measurement"], key=_rank, ignore_index=True
    )
    cells["hour"] = (cells["bin"] * bin_hours).astype(np.int8)
    columns = {name: cells[name] for name in PERTURBATIONS.names} | {
        "measurement": measurement_column(cells["measurement"].to_numpy(), names)
    }
    return pa.table(columns, schema=PERTURBATIONS)


def _rank(column: pd.Series) -> pd.Series:
    """The sort key of a column: `first` comes before `best`."""
    return column.map(KINDS.index) if column.name == "kind" else column
