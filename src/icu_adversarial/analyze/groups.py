"""Sums over the attacked stays of one direction and kind, for `susceptibility`.

A cell is a bin of hours and a measurement, numbered bin * M + measurement; there are C = T * M.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from icu_adversarial.analyze.intervals import Sample
from icu_adversarial.core.columns import columns_in

DIRECTIONS = ("0→1", "1→0")
KINDS = ("first", "best")
ROWS = 4096  # stays of the grid in memory at a time


@dataclass(frozen=True)
class Group:
    """The attacked stays of one direction and kind.

    sample: The subjects with their |P| in each cell.
    folds: The names of the models, in the order of their numbers in `sample`. See schemas.ENSEMBLE
        and FILE.
    examples: The number of examples of each fold, int (folds,).
    largest: The largest |P| of each cell, (C,).
    count: The number of examples that perturb each cell, (C,).
    measured_total: The sum of |P| over the stays with a measured value in the cell, (C,).
    measured: The number of attacked stays with a measured value in each cell, int (C,).
    """

    sample: Sample
    folds: np.ndarray
    examples: np.ndarray
    largest: np.ndarray
    count: np.ndarray
    measured_total: np.ndarray
    measured: np.ndarray

    @property
    def k(self) -> int:
        """K, the number of examples."""
        return int(self.examples.sum())

    @property
    def n(self) -> int:
        """N, the number of attacked stays."""
        return int(self.sample.stays.sum())


def select(
    examples: pd.DataFrame, direction: str, kind: str, min_l0: int, max_l0: int
) -> pd.DataFrame:
    """The successful rows of one direction and kind with min_l0 <= L0 <= max_l0.

    Args:
        examples: schemas.EXAMPLES.
    """
    return examples[
        (examples.direction == direction)
        & (examples.kind == kind)
        & examples.success
        & examples.l0.between(min_l0, max_l0)
    ]


def changes(perturbations: pd.DataFrame, chosen: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows of schemas.PERTURBATIONS that belong to `chosen` examples of one kind."""
    return perturbations[(perturbations.kind == kind) & perturbations.stay_id.isin(chosen.stay_id)]


def measured_cells(grid: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """How many of the stays `rows` have a measured value in each cell: int (T, M).

    Args:
        grid: (N, T, M), NaN = not measured; may be memory-mapped.
        rows: int (n,).
    """
    found = np.zeros(grid.shape[1:], np.int64)
    for start in range(0, len(rows), ROWS):
        found += np.isfinite(grid[np.sort(rows[start : start + ROWS])]).sum(axis=0)
    return found


def measured_values(grid: np.ndarray) -> np.ndarray:
    """How many measured values each stay has: int (N,).

    Args:
        grid: (N, T, M), NaN = not measured; may be memory-mapped.
    """
    parts = [grid[start : start + ROWS] for start in range(0, len(grid), ROWS)]
    return np.concatenate([np.isfinite(part).sum(axis=(1, 2)) for part in parts])


def group(
    examples: pd.DataFrame,
    perturbations: pd.DataFrame,
    cohort: pd.DataFrame,
    grid: np.ndarray,
    direction: str,
    kind: str,
    hours: range,
    names: Sequence[str],
    min_l0: int,
    max_l0: int,
) -> Group:
    """Sum up the attacked stays of one direction and kind.

    Args:
        examples, perturbations, cohort: schemas.EXAMPLES, PERTURBATIONS and COHORT.
        grid: (N, T, M) in the order of `cohort`, NaN = not measured.
        hours: the first hour of each bin.
        names: The measurements, M.
        min_l0, max_l0: examples with another L0 count as 0, as failures do.

    Raises:
        InputError: A perturbation is of a measurement that is not among `names`.
    """
    attacked = examples[(examples.direction == direction) & (examples.kind == kind)]
    chosen = select(examples, direction, kind, min_l0, max_l0)
    rows = pd.Index(cohort.stay_id).get_indexer(attacked.stay_id)
    _, first, subject = np.unique(
        cohort.subject_id.to_numpy()[rows], return_index=True, return_inverse=True
    )
    folds, fold = np.unique(attacked.fold.to_numpy()[first], return_inverse=True)
    cells = changes(perturbations, chosen, kind)
    column = columns_in(names, cells.measurement)
    cell = cells.hour.to_numpy(np.int64) // hours.step * len(names) + column
    size = cells.delta.abs().to_numpy(np.float64)
    owner = subject[pd.Index(attacked.stay_id).get_indexer(cells.stay_id)]
    shape = (len(first), len(hours) * len(names))
    largest = np.zeros(shape[1])
    np.maximum.at(largest, cell, size)
    change = csr_array((size, (owner, cell)), shape=shape)
    return Group(
        Sample(fold, np.bincount(subject).astype(np.float64), change),
        folds,
        np.array([int((chosen.fold == name).sum()) for name in folds]),
        largest,
        np.bincount(cell, minlength=shape[1]),
        np.bincount(cell, size * cells.observed.to_numpy(np.float64), shape[1]),
        measured_cells(grid, rows).ravel(),
    )


def pooled(by_measurement: pd.DataFrame, direction: str, kind: str) -> pd.DataFrame:
    """The rows over all folds of one direction and kind, by rank.

    Args:
        by_measurement: of `susceptibility.susceptibility`.
    """
    chosen = (by_measurement.direction == direction) & (by_measurement.kind == kind)
    return by_measurement[chosen & (by_measurement.fold == "all")].sort_values(
        "rank", kind="stable"
    )
