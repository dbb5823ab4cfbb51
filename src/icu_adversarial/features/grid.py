"""Events → grid of the mean value per bin, and its gaps filled along time. Vectorised over stays; values in clinical units."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.measurements import NAMES, M


def grids(
    events: Iterable[pa.RecordBatch], stay_id: np.ndarray, hours: range
) -> Iterator[tuple[slice, np.ndarray]]:
    """The grid of all stays, some stays at a time, so that the memory needed does not grow with their number.

    events: tables.EVENTS, sorted by stay_id, in batches of any size; stay_id: (N,) sorted; hours: the first hour of each bin.
    Yields (rows, grid): consecutive slices of 0..N and what `grid_from_events` says of these stays; all NaN for a stay without events.
    Raises InputError for an event of none of the stays or outside the window.
    """
    done = 0
    for part in _whole_stays(events):
        ids = part["stay_id"].to_numpy()
        row = np.searchsorted(stay_id, ids)
        if row[-1] == len(stay_id) or (stay_id[row] != ids).any():
            raise InputError(
                f"{paths.EVENTS}: an event belongs to none of the ICU stays: run `dvc repro`"
            )
        measurement = part["measurement"].unify_dictionaries().combine_chunks()
        column = pd.Index(NAMES).get_indexer(measurement.dictionary.to_pylist())[
            measurement.indices
        ]  # the file may number the names otherwise
        rows = slice(done, int(row[-1]) + 1)
        yield (
            rows,
            grid_from_events(
                row - done,
                part["hour"].to_numpy(),
                column,
                part["value"].to_numpy(),
                rows.stop - done,
                hours,
            ),
        )
        done = rows.stop
    if done < len(stay_id):
        yield (
            slice(done, len(stay_id)),
            np.full((len(stay_id) - done, len(hours), M), np.nan, np.float32),
        )


def _whole_stays(events: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows, cut where a stay ends."""
    rest = EVENTS.empty_table()
    for batch in filter(len, events):
        table = pa.concat_tables([rest, pa.Table.from_batches([batch])])
        ids = table["stay_id"].to_numpy()
        last = int(
            np.searchsorted(ids, ids[-1])
        )  # from here on: the last stay, which may go on in the next batch
        if last:
            yield table[:last]
        rest = table[last:]
    if len(rest):
        yield rest


def grid_from_events(
    stay: np.ndarray,
    hour: np.ndarray,
    measurement: np.ndarray,
    value: np.ndarray,
    stays: int,
    hours: range,
) -> np.ndarray:
    """Mean of the values of each (stay, bin, measurement) cell; the bin of first hour h covers [h, h + hours.step).

    stay: (E,) row 0..stays-1; hour: (E,) in the window; measurement: (E,) column 0..18; value: (E,) clinical units.
    Returns float32 (stays, T, 19), NaN where a cell has no event. Raises InputError for an event outside the window.
    """
    if len(hour) and not (hour.min() >= 0 and hour.max() < hours.stop):
        raise InputError(
            f"{paths.EVENTS}: an event lies outside the window [0, {hours.stop}) h: run `dvc repro`"
        )
    t = len(hours)
    cells = stays * t * M
    cell = (stay.astype(np.int64) * t + hour.astype(np.int64) // hours.step) * M + measurement
    count = np.bincount(cell, minlength=cells)
    total = np.bincount(cell, weights=value, minlength=cells)  # float64, in the events' order
    with np.errstate(invalid="ignore"):
        mean = total / count
    return mean.astype(np.float32).reshape(stays, t, M)


def fill_gaps(grid: np.ndarray, interpolation: str, limit_direction: str) -> np.ndarray:
    """Fill each stay's unobserved bins from its own observed ones.

    grid: float32 (N, T, 19), NaN = not observed. Between two observed bins: `linear`, or `previous` (the earlier one's value). Before the first
    (limit_direction both | backward) and after the last (both | forward): the nearest observed value. The rest stays NaN. `none` fills nothing.
    """
    if interpolation == "none":
        return grid.copy()
    left = grid.swapaxes(0, 1).copy()  # (T, N, 19): the same bin of all stays lies together
    right, missing = left.copy(), np.isnan(left)
    for i in range(1, len(left)):
        np.copyto(left[i], left[i - 1], where=missing[i])
    for i in reversed(range(len(left) - 1)):
        np.copyto(right[i], right[i + 1], where=missing[i])
    if limit_direction in ("both", "backward"):
        np.copyto(left, right, where=np.isnan(left))
    if limit_direction in ("both", "forward"):
        np.copyto(right, left, where=np.isnan(right))
    weight: np.ndarray | float = 0.0
    if interpolation == "linear":
        since, until = _since_observed(missing), _since_observed(missing[::-1])[::-1]
        weight = since / np.maximum(since + until, 1)
    return (left + (right - left) * weight).swapaxes(0, 1)


def since_observed(observed: np.ndarray) -> np.ndarray:
    """Time since the last observed bin as a share of the window: 0 where observed, 1 where none came before.

    observed: bool (N, T, 19). Returns float32 of that shape.
    """
    return (_since_observed(~observed.swapaxes(0, 1)) / np.float32(observed.shape[1])).swapaxes(
        0, 1
    )


def _since_observed(missing: np.ndarray) -> np.ndarray:
    """Bins since the last one that is not missing, T where none came before. missing: bool (T, N, 19)."""
    since = missing * np.float32(len(missing))
    for i in range(1, len(missing)):
        np.minimum(since[i], since[i - 1] + 1, out=since[i])
    return since
