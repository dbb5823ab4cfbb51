"""The tables of every figure of the analysis.

Their columns `source`, `outcome` and `objective` label the figure, and `note` is its caption. The
figures are made by plots/. Only the table of `patients` has values of patients.
"""

from typing import Any

import numpy as np
import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS, KINDS, select
from icu_adversarial.core.columns import columns_in
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.measurements import DICTIONARY

HEATMAPS = ("a", "s", "gpp", "ganzp", "sensitivity")
# The columns of every heat map.
MAP = ("direction", "kind", "examples", "attacked", "patients", "known")
CELL = ("hour", "end_hour", "measurement")
FIELDS = (
    "patient",
    "cells",
    "rank",
    "measurement",
    "unit",
    "hour",
    "end_hour",
    "original",
    "perturbed",
    "changed",
    "observed",
)
# Fixed bins, so that the bars of two revisions can be compared: L0 in half octaves, sizes in
# twentieths of the scaled range.
BINS = {
    "L0": np.array([1, *(n * 2**k // 2 for k in range(1, 11) for n in (2, 3)), 2**11, 3 * 2**10]),
    "mean |P|": np.arange(21) / 20,
    "L∞": np.arange(21) / 20,
}


def label(frame: pd.DataFrame, source: str, outcome: str, objective: str) -> pd.DataFrame:
    """Add first columns: where the data are from, what is predicted, what the attack maximised."""
    about = {"source": source, "outcome": outcome, "objective": objective}
    return pd.concat([pd.DataFrame(about, index=frame.index), frame], axis=1)


def heatmaps(by_cell: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The table of each heat map, by its name.

    Args:
        by_cell: The result of `susceptibility.susceptibility`.
    """
    return {f"heatmap_{name}": by_cell[[*MAP, *CELL, name]] for name in HEATMAPS}


def histograms(examples: pd.DataFrame, min_l0: int, max_l0: int) -> pd.DataFrame:
    """How large the examples are.

    Returns:
        direction, kind, quantity ("L0", "mean |P|" of the perturbed cells, or "L∞"), low and
        high (low <= quantity < high), examples, and share of the K examples. The last bin of a size
        includes 1. Bins above the largest value of all directions and kinds are left out.
    """
    groups = {(d, k): select(examples, d, k, min_l0, max_l0) for d in DIRECTIONS for k in KINDS}
    rows = []
    for quantity, edges in BINS.items():
        counts = {
            key: np.histogram(_quantity(chosen, quantity), edges)[0]
            for key, chosen in groups.items()
        }
        used = max(1, max(np.flatnonzero(c).max(initial=-1) for c in counts.values()) + 1)
        for (direction, kind), count in counts.items():
            shares = count / max(len(groups[direction, kind]), 1)
            rows += [
                (direction, kind, quantity, edges[i], edges[i + 1], count[i], shares[i])
                for i in range(used)
            ]
    return pd.DataFrame(
        rows, columns=["direction", "kind", "quantity", "low", "high", "examples", "share"]
    )


def _quantity(chosen: pd.DataFrame, quantity: str) -> np.ndarray:
    values: np.ndarray = {"L0": chosen.l0, "mean |P|": chosen.l1 / chosen.l0, "L∞": chosen.linf}[
        quantity
    ].to_numpy(np.float64)
    return (
        values if quantity == "L0" else np.minimum(values, 1)
    )  # float32 may give slightly more than 1


def discovery(examples: pd.DataFrame) -> pd.DataFrame:
    """How fast examples are found.

    Returns:
        direction, kind, iteration, flipped (stays whose first or best example was found until
        then), attacked, and share of all attacked stays.
    """
    last = max(int(examples.iteration.max()), 0) if len(examples) else 0
    rows = []
    for direction in DIRECTIONS:
        for kind in KINDS:
            attacked = examples[(examples.direction == direction) & (examples.kind == kind)]
            found = attacked.iteration[attacked.success].to_numpy()
            for iteration in np.unique([0, *found, last]):
                flipped = int((found <= iteration).sum())
                rows.append(
                    (
                        direction,
                        kind,
                        int(iteration),
                        flipped,
                        len(attacked),
                        flipped / max(len(attacked), 1),
                    )
                )
    return pd.DataFrame(
        rows, columns=["direction", "kind", "iteration", "flipped", "attacked", "share"]
    )


def typical(examples: pd.DataFrame, patients: int, min_l0: int, max_l0: int) -> pd.DataFrame:
    """Up to `patients` best examples per direction, with an L1 near the median.

    Ties are broken by stay_id.
    """
    chosen = []
    for direction in DIRECTIONS:
        best = select(examples, direction, "best", min_l0, max_l0)
        order = pd.DataFrame(
            {"far": (best.l1 - best.l1.median()).abs(), "stay_id": best.stay_id}
        ).sort_values(["far", "stay_id"])
        chosen.append(best.loc[order.index[:patients]])
    return pd.concat(chosen, ignore_index=True)


def patients(
    chosen: pd.DataFrame,
    perturbations: pd.DataFrame,
    grids: np.ndarray,
    hours: range,
    scalers: dict[int, Scaler],
) -> pd.DataFrame:
    """The perturbed measurements of single patients in clinical units, without an identifier.

    Args:
        chosen: n rows of schemas.EXAMPLES, kind best.
        perturbations: schemas.PERTURBATIONS.
        grids: (n, T, M), NaN = not observed.
        hours: the first hour of each bin.
        scalers: by fold.

    Returns:
        One row per bin: direction, patient (1, 2, ...), cells (L0), rank of the measurement by
        sum |P|, measurement, unit, hour, end_hour, original (the model's input; empty if it has
        none), perturbed, changed (0 or 1), observed (1 for a measured value, otherwise 0). A
        direction without examples has one row with patient 0 and nothing else.
    """
    rows: list[tuple[object, ...]] = []
    number = dict.fromkeys(DIRECTIONS, 0)
    example: Any  # a row of `chosen`, one attribute per column
    for example, grid in zip(chosen.itertuples(), grids, strict=True):
        number[example.direction] += 1
        cells = perturbations[
            (perturbations.stay_id == example.stay_id) & (perturbations.kind == "best")
        ]
        scaler = scalers[int(example.fold)]
        names = scaler.names
        columns = columns_in(names, cells.measurement)
        delta, size = (
            np.zeros(grid.shape),
            np.bincount(columns, cells.delta.abs(), len(names)),
        )
        delta[cells.hour // hours.step, columns] = cells.delta_clinical
        original = scaler.to_clinical(scaler.values(grid[None])[0])
        for rank, j in enumerate(
            np.argsort(-size, kind="stable")[: np.count_nonzero(size)], start=1
        ):
            head = (
                example.direction,
                number[example.direction],
                int(example.l0),
                rank,
                names[j],
                DICTIONARY[names[j]].unit,
            )
            perturbed = original[:, j] + delta[:, j]
            flags = (delta[:, j] != 0).astype(int), np.isfinite(grid[:, j]).astype(int)
            rows += [
                (*head, hour, hour + hours.step, *values)
                for hour, *values in zip(hours, original[:, j], perturbed, *flags, strict=True)
            ]
    rows += [
        (direction, 0, *[np.nan] * (len(FIELDS) - 1))
        for direction in DIRECTIONS
        if not number[direction]
    ]
    return pd.DataFrame(rows, columns=["direction", *FIELDS]).astype(
        dict.fromkeys(("cells", "rank", "hour", "end_hour", "changed", "observed"), "Int64")
    )
