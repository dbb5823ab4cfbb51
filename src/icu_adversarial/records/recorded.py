"""The recorded values of some stays, and what an edit of single values makes of their grid.

The shapes use N for stays, T for bins, M for measurements, E for recorded values, K for edits and R
for edited values.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int

from icu_adversarial.features.grid import grid_from_events


class Records(NamedTuple):
    """The recorded values of some stays, sorted by stay, measurement, hour and value.

    Attributes:
        stay: The row of the stay of each value, in [0, N).
        measurement: The column of the measurement, in [0, M).
        hour: Hours since ICU admission.
        value: The value in clinical units.
        starts: The first value of each stay and measurement, (N * M + 1,). The values of stay i
            and measurement j are starts[i * M + j] to starts[i * M + j + 1] - 1.
        hours: The first hour of each bin.
        names: The measurements.
    """

    stay: Int[np.ndarray, " E"]
    measurement: Int[np.ndarray, " E"]
    hour: Float32[np.ndarray, " E"]
    value: Float32[np.ndarray, " E"]
    starts: Int[np.ndarray, " NM"]
    hours: range
    names: tuple[str, ...]

    @property
    def bin(self) -> Int[np.ndarray, " E"]:
        """The bin of each value, in [0, T)."""
        return self.hour.astype(np.int64) // self.hours.step

    def head(self, stays: int) -> "Records":
        """The recorded values of the first stays."""
        slots = stays * len(self.names)
        end = int(self.starts[slots])
        return self._replace(
            stay=self.stay[:end],
            measurement=self.measurement[:end],
            hour=self.hour[:end],
            value=self.value[:end],
            starts=self.starts[: slots + 1],
        )


class Edits(NamedTuple):
    """Edits of single stays. Each one changes one value or several values of a stay.

    Attributes:
        stay: The row of the stay of each edit, (K,).
        number: The edit to which each changed value belongs, in [0, K), ascending, (R,).
        event: Which value is changed: a row of `Records`, (R,). Each at most once in an edit.
        hour: Its new hour, (R,). A value outside the window does not count.
        value: The new value in clinical units, (R,). NaN stands for a value that is missing.
    """

    stay: Int[np.ndarray, " K"]
    number: Int[np.ndarray, " R"]
    event: Int[np.ndarray, " R"]
    hour: Float32[np.ndarray, " R"]
    value: Float32[np.ndarray, " R"]

    def part(self, first: int, last: int) -> "Edits":
        """The edits from `first` up to but not including `last`, with numbers from 0 on."""
        rows = slice(*np.searchsorted(self.number, [first, last]))
        values = (self.event[rows], self.hour[rows], self.value[rows])
        return Edits(self.stay[first:last], self.number[rows] - first, *values)


def records_of(
    events: Iterable[pa.RecordBatch],
    stay_id: Int[np.ndarray, " N"],
    hours: range,
    names: Sequence[str],
) -> Records:
    """Read the recorded values of some stays.

    Args:
        events: schemas.EVENTS.
        stay_id: The stays, sorted. Events of others are left out.
        hours: The first hour of each bin.
        names: The measurements that are columns of the grid. Events of others are left out.

    Returns:
        The recorded values.
    """
    parts = []
    for batch in events:
        row = np.searchsorted(stay_id, batch["stay_id"].to_numpy()).clip(max=len(stay_id) - 1)
        code = batch["measurement"]
        column = _columns(names, code.dictionary.to_pylist())[code.indices.to_numpy()]
        own = (stay_id[row] == batch["stay_id"].to_numpy()) & (column >= 0)
        hour, value = (batch[name].to_numpy()[own] for name in ("hour", "value"))
        parts.append((row[own], column[own], hour, value))
    stay, column, hour, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((value, hour, column, stay))
    stay, column, hour, value = (part[order] for part in (stay, column, hour, value))
    slots = np.arange(len(stay_id) * len(names) + 1)
    starts = np.searchsorted(stay * len(names) + column, slots)
    return Records(stay, column, hour, value, starts, hours, tuple(names))


def edited_grids(
    records: Records, grid: Float32[np.ndarray, "N T M"], edits: Edits
) -> Float32[np.ndarray, "K T M"]:
    """Make the grid of each edited record, as stage preprocess would.

    Args:
        records: The recorded values.
        grid: The grid of their stays, NaN = not observed.
        edits: The edits. Call this for some thousands at a time (`Edits.part`).

    Returns:
        The grid of the stay of each edit after it.
    """
    edited = grid[edits.stay]
    m = len(records.names)
    # One column of the grid for each edit and measurement that it touches.
    keys = edits.number * m + records.measurement[edits.event]
    pairs, pair_of = np.unique(keys, return_inverse=True)
    number, column = np.divmod(pairs, m)
    slot = edits.stay[number] * m + column
    first, size = records.starts[slot], records.starts[slot + 1] - records.starts[slot]
    offset = np.concatenate([[0], size.cumsum()])
    pair = np.repeat(np.arange(len(pairs)), size)
    event = np.arange(offset[-1]) - offset[pair] + first[pair]
    hour, value = records.hour[event], records.value[event]
    changed = offset[pair_of] + edits.event - first[pair_of]
    hour[changed], value[changed] = edits.hour, edits.value
    counts = np.isfinite(value) & (hour >= 0) & (hour < records.hours.stop)
    pair, hour, value = pair[counts], hour[counts], value[counts]
    order = np.lexsort((value, hour, pair))
    pair, hour, value = pair[order], hour[order], value[order]
    for j in np.unique(column):
        wanted = np.flatnonzero(column == j)
        rows = column[pair] == j
        row = np.searchsorted(wanted, pair[rows])
        zero, name = np.zeros(len(row), np.int64), [records.names[j]]
        columns = grid_from_events(
            row, hour[rows], zero, value[rows], len(wanted), records.hours, name
        )
        edited[number[wanted], :, j] = columns[..., 0]
    return edited


def _columns(names: Sequence[str], found: Sequence[str]) -> np.ndarray:
    """The column of each name, -1 for others."""
    return np.array([names.index(name) if name in names else -1 for name in found], np.int64)
