"""The examples of the explorer: the records of single patients, before and after the change."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS
from icu_adversarial.analyze.inputs import read_scalers
from icu_adversarial.config.attack import Attack, Space
from icu_adversarial.core import paths
from icu_adversarial.core.columns import columns_in
from icu_adversarial.core.io import read_array, six_digits
from icu_adversarial.core.schemas import (
    COHORT,
    ENSEMBLE,
    EXAMPLES,
    FILE,
    PERTURBATIONS,
    read_table,
)
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.report.html import titled

LARGEST = 100  # examples of each objective and direction, so that a browser can open the page
MODELS = {
    ENSEMBLE: "The mean of all models was attacked.",
    FILE: "A model from a file was attacked.",
}


def read_examples(
    objectives: Sequence[str], attack: Attack, names: Sequence[str], hours: range
) -> list[dict[str, Any]]:
    """Read the examples and their records.

    Args:
        objectives: Those of params.yaml.
        attack: The block `attack` of params.yaml.
        names: The measurements of the columns of the grid.
        hours: The first hour of each bin.

    Returns:
        For each example the numbers of its objective and direction (`goal`, `who`), `stay`, `size`
        (L1), `model`, and a `series` for each changed measurement: `name`, and for each bin
        `recorded` (None if not measured), and `before` and `after`, what the model reads; in
        `edited` the changed bins with their new value. All values are in clinical units.

    Raises:
        InputError: A file is missing or unreadable, or a model reads other measurements.
    """
    scalers, grid = read_scalers(attack.models, attack.target, names), read_array(paths.GRID)
    stays = pd.Index(read_table(paths.COHORT, COHORT).stay_id)
    found = []
    for number, objective in enumerate(objectives):
        folder = paths.ATTACK / objective
        examples = read_table(folder / "examples.parquet", EXAMPLES)
        cells = read_table(folder / "perturbations.parquet", PERTURBATIONS)
        best = cells[cells.kind == "best"]
        by_stay = dict(iter(best.groupby("stay_id")))
        for who, direction in enumerate(DIRECTIONS):
            row: Any
            for row in spread(examples, direction).itertuples():
                record = grid[stays.get_loc(row.stay_id)]
                changed, scaler = by_stay[row.stay_id], scalers[int(row.fold)]
                about = {"goal": number, "who": who, "stay": int(row.stay_id), "size": row.l1}
                about["model"] = MODELS.get(row.fold, f"Model of fold {row.fold}.")
                about["series"] = series(record, changed, scaler, hours, attack.space)
                found.append(six_digits(about))
    return found


def spread(examples: pd.DataFrame, direction: str) -> pd.DataFrame:
    """At most LARGEST successful best examples of a direction, from the smallest to the largest.

    Args:
        examples: schemas.EXAMPLES.
        direction: One of DIRECTIONS.
    """
    chosen = examples[
        (examples.kind == "best") & (examples.direction == direction) & examples.success
    ]
    ordered = chosen.sort_values(["l1", "stay_id"])
    places = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), LARGEST)).round())
    return ordered.iloc[places.astype(int)]


def series(
    record: np.ndarray, changed: pd.DataFrame, scaler: Scaler, hours: range, space: Space
) -> list[dict[str, Any]]:
    """The changed measurements of one stay, those with the largest change first.

    Args:
        record: The grid of the stay, (T, M), NaN = not measured.
        changed: Its rows of schemas.PERTURBATIONS.
        scaler: That of the attacked model.
        hours: The first hour of each bin.
        space: The value of attack.space.
    """
    column = columns_in(scaler.names, changed.measurement)
    bins = changed.hour.to_numpy(int) // hours.step
    change = np.zeros_like(record)
    change[bins, column] = changed.delta_clinical
    size = np.bincount(column, changed.delta.abs(), len(scaler.names))
    edited = np.where(change != 0, record + change, record)
    before, after = scaler.to_clinical(scaler.values(np.stack([record, edited])))
    if space == "grid":
        after = edited = before + change
    found = []
    for j in np.argsort(-size, kind="stable")[: np.count_nonzero(size)]:
        mine = bins[column == j]
        found.append(
            {
                "name": titled(scaler.names[j]),
                "recorded": _known(record[:, j]),
                "before": _known(before[:, j]),
                "after": _known(after[:, j]),
                "edited": list(zip(mine.tolist(), edited[mine, j].tolist(), strict=True)),
            }
        )
    return found


def _known(values: np.ndarray) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
