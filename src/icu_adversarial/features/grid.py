"""Events → a grid of one value in each bin of time, and its gaps filled along time.

All values are in clinical units. The shapes use N for stays, T for bins, M for measurements and E
for events.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Float, Float32, Int, Real

from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.measurements import DICTIONARY


def grids(
    events: Iterable[pa.RecordBatch],
    stay_id: Int[np.ndarray, " N"],
    hours: range,
    names: Sequence[str],
) -> Iterator[tuple[slice, Float32[np.ndarray, "n T M"]]]:
    """Make the grid of all stays, some stays at a time.

    The memory needed does not grow with the number of stays.

    Args:
        events: schemas.EVENTS, sorted by stay_id, in batches of any size.
        stay_id: The stays, sorted.
        hours: The first hour of each bin.
        names: The measurements that are columns of the grid. Events of others are left out.

    Yields:
        Consecutive slices of the stays and their grid, as from `grid_from_events`. A stay without
        events has NaN alone.

    Raises:
        InputError: An event belongs to no stay or lies outside the window.
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
        # the dictionary of the file may have another order
        found = pd.Index(names).get_indexer(measurement.dictionary.to_pylist())
        column = found[measurement.indices]
        hour, value = part["hour"].to_numpy(), part["value"].to_numpy()
        rows = slice(done, int(row[-1]) + 1)
        if (column < 0).any():
            row, hour, column, value = (a[column >= 0] for a in (row, hour, column, value))
        stays = rows.stop - done
        yield rows, grid_from_events(row - done, hour, column, value, stays, hours, names)
        done = rows.stop
    if done < len(stay_id):
        empty = np.full((len(stay_id) - done, len(hours), len(names)), np.nan, np.float32)
        yield slice(done, len(stay_id)), empty


def _whole_stays(events: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables that end where a stay ends."""
    rest = EVENTS.empty_table()
    for batch in filter(len, events):
        table = pa.concat_tables([rest, pa.Table.from_batches([batch])])
        ids = table["stay_id"].to_numpy()
        # The last stay starts here. It may continue in the next batch.
        last = int(np.searchsorted(ids, ids[-1]))
        if last:
            yield table[:last]
        rest = table[last:]
    if len(rest):
        yield rest


def grid_from_events(
    stay: Int[np.ndarray, " E"],
    hour: Real[np.ndarray, " E"],
    measurement: Int[np.ndarray, " E"],
    value: Real[np.ndarray, " E"],
    stays: int,
    hours: range,
    names: Sequence[str],
) -> Float32[np.ndarray, "N T M"]:
    """Make one value of those of each stay, bin and measurement, as the dictionary says.

    Args:
        stay: The row of the stay of each event, in [0, stays). Events are in the order of time.
        hour: Hours since ICU admission, in the window.
        measurement: The column of the measurement, in [0, M).
        value: The value in clinical units.
        stays: Number of stays, N.
        hours: The first hour of each bin. The bin of hour h covers [h, h + hours.step).
        names: The measurements, M.

    Returns:
        The grid. NaN where a cell has no event.

    Raises:
        InputError: An event lies outside the window.
    """
    if len(hour) and not (hour.min() >= 0 and hour.max() < hours.stop):
        raise InputError(
            f"{paths.EVENTS}: an event lies outside the window [0, {hours.stop}) h: run `dvc repro`"
        )
    t, m = len(hours), len(names)
    cells = stays * t * m
    cell = (stay.astype(np.int64) * t + hour.astype(np.int64) // hours.step) * m + measurement
    count = np.bincount(cell, minlength=cells)
    total = np.bincount(cell, weights=value, minlength=cells)  # float64, in the order of the events
    with np.errstate(invalid="ignore"):
        mean = total / count
    grid = mean.astype(np.float32).reshape(stays, t, m)
    others = {DICTIONARY[name].hour for name in names} - {"mean"}
    for rule in sorted(others):
        columns = [i for i, name in enumerate(names) if DICTIONARY[name].hour == rule]
        if rule == "last":
            found = np.full(cells, np.nan)
            found[cell] = value  # of several values in a cell, the last one stays
        else:
            found = np.where(count, total if rule == "sum" else total > 0, np.nan)
        grid[..., columns] = found.reshape(grid.shape)[..., columns]
    return grid


def fill_gaps(
    grid: Float[np.ndarray, "N T M"], interpolation: str, limit_direction: str
) -> Float[np.ndarray, "N T M"]:
    """Fill the unobserved bins of each stay from its own observed bins.

    Args:
        grid: Values; NaN = not observed.
        interpolation: What a bin between two observed ones takes. `linear`: the value on the line
            between them. `previous`: the earlier value. `none`: no bin is filled.
        limit_direction: Which ends take the nearest observed value: `forward` (after the last
            observed bin), `backward` (before the first one) or `both`.

    Returns:
        The filled grid. Bins that are not filled are NaN.
    """
    found = sources(np.isfinite(grid), interpolation, limit_direction)
    left, right = (np.take_along_axis(grid, bins, 1) for bins in (found.left, found.right))
    return np.where(found.known, left + (right - left) * found.weight, np.float32(np.nan))


class Sources(NamedTuple):
    """Which observed bins make the value of each bin: left + (right - left) * weight.

    Attributes:
        left, right: The numbers of the bins, (N, T, M).
        weight: The share of the right one, in [0, 1).
        known: Where there is such a bin. Elsewhere left and right have no meaning.
    """

    left: Int[np.ndarray, "N T M"]
    right: Int[np.ndarray, "N T M"]
    weight: Float32[np.ndarray, "N T M"]
    known: Bool[np.ndarray, "N T M"]


def sources(
    observed: Bool[np.ndarray, "N T M"], interpolation: str, limit_direction: str
) -> Sources:
    """Find the observed bins from which `fill_gaps` fills each bin.

    Args:
        observed: Which cells are observed.
        interpolation, limit_direction: As for `fill_gaps`.

    Returns:
        The bins of all cells. An observed cell is its own source.
    """
    bins, seen = observed.shape[1], observed.swapaxes(0, 1)  # the same bin of all stays together
    own = np.arange(bins)[:, None, None]
    if interpolation == "none":
        left = np.broadcast_to(own, seen.shape).swapaxes(0, 1)
        return Sources(left, left, np.zeros(observed.shape, np.float32), observed)
    left = np.maximum.accumulate(np.where(seen, own, -1), 0)
    right = np.minimum.accumulate(np.where(seen, own, bins)[::-1], 0)[::-1]
    before, after = left < 0, right == bins  # the first observed bin, or the last
    known = ~(before & after)
    known &= ~before | (limit_direction in ("both", "backward"))
    known &= ~after | (limit_direction in ("both", "forward"))
    left, right = np.where(before, right, left), np.where(after, left, right)
    left, right = (np.where(known, bins_, 0) for bins_ in (left, right))
    weight = np.zeros(seen.shape, np.float32)
    if interpolation == "linear":
        np.divide(own - left, right - left, out=weight, where=right > left)
    return Sources(*(part.swapaxes(0, 1) for part in (left, right, weight, known)))


def since_observed(observed: Bool[np.ndarray, "N T M"]) -> Float32[np.ndarray, "N T M"]:
    """The time since the last observed bin, as a share of the window.

    Args:
        observed: Which cells are observed.

    Returns:
        0 for an observed bin; 1 for a bin before the first observed one.
    """
    since = _since_observed(~observed.swapaxes(0, 1)) / np.float32(observed.shape[1])
    return since.swapaxes(0, 1)


def _since_observed(missing: np.ndarray) -> np.ndarray:
    """Bins since the last one that is not missing; T before the first one. missing: (T, N, M)."""
    since = missing * np.float32(len(missing))
    for i in range(1, len(missing)):
        np.minimum(since[i], since[i - 1] + 1, out=since[i])
    return since
