"""From an edited cell of the grid to edits of the recorded values in it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from icu_adversarial.measurements import DICTIONARY
from icu_adversarial.records.recorded import Records


def edits_of_cells(
    records: Records,
    stay: Int[np.ndarray, " K"],
    bin_: Int[np.ndarray, " K"],
    measurement: Int[np.ndarray, " K"],
    edited: Float[np.ndarray, " K"],
) -> pd.DataFrame:
    """Edit the recorded values of cells so that each cell gets its new value.

    If a cell is the mean or the sum of its values, all of them move by the same amount. If one
    would leave the plausible limits of the dictionary, each moves a part of its way to the limit
    instead. If a cell is its last value, this value alone moves.

    Args:
        records: The recorded values.
        stay: The row of the stay of each cell, in [0, N).
        bin_: Its bin, in [0, T).
        measurement: Its column, in [0, M). It is no binary measurement.
        edited: Its new value, in clinical units, within the plausible limits.

    Returns:
        One row for each edited value: cell (in [0, K)), event (row of `records`) and edited (its
        new value in clinical units, float64). Sorted by cell and time.
    """
    slot = stay * len(records.names) + measurement
    first, size = records.starts[slot], records.starts[slot + 1] - records.starts[slot]
    cell = np.repeat(np.arange(len(slot)), size)
    event = np.arange(len(cell)) - (size.cumsum() - size)[cell] + first[cell]
    inside = records.bin[event] == bin_[cell]
    cell, event = cell[inside], event[inside]
    last = _is_rule(records.names, "last")[measurement[cell]]
    final = np.append(cell[1:] != cell[:-1], True)[: len(cell)]
    kept = final | ~last
    cell, event = cell[kept], event[kept]
    value = records.value[event].astype(np.float64)
    number = np.bincount(cell, minlength=len(slot))
    summed = _is_rule(records.names, "sum")[measurement]
    # The mean of the new values of each cell. The sum of some values is their number times it.
    mean = np.where(summed, edited / np.maximum(number, 1), edited)
    moved = value + (mean - _means(cell, value, number))[cell]
    low, high = (
        np.array(ends)[measurement] for ends in zip(*map(_ends, records.names), strict=True)
    )
    leaves = (moved <= low[cell]) | (moved >= high[cell])
    refused = np.isin(cell, np.unique(cell[leaves]))
    if refused.any():
        end = np.where(mean > _means(cell, value, number), high, low)
        way = end[cell] - value
        share = (mean - _means(cell, value, number)) / _means(cell, way, number)
        moved = np.where(refused, value + share[cell] * way, moved)
    return pd.DataFrame({"cell": cell, "event": event, "edited": moved})


def _means(cell: np.ndarray, value: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The mean of the values of each cell; NaN without values."""
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.bincount(cell, weights=value, minlength=len(number)) / number
    return mean


def _is_rule(names: Sequence[str], rule: str) -> np.ndarray:
    """Which measurements have a rule for the values of a bin."""
    return np.array([DICTIONARY[name].hour == rule for name in names])


def _ends(name: str) -> tuple[float, float]:
    """The plausible limits of a measurement."""
    limits = DICTIONARY[name].limits
    return limits.above, limits.highest
