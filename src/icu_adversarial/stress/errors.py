"""Every single error of the catalogue on every recorded value: which predictions flip.

Nothing is sampled. Edits of a stay that make the same grid are asked about once.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from icu_adversarial.records.recorded import Edits, Records, edited_grids
from icu_adversarial.stress.catalogue import ERRORS, Changes, outside_limits
from icu_adversarial.stress.models import RiskModel

CHUNK = 4096  # edits whose grids are made at a time


def every_error(
    records: Records, errors: Sequence[str] = tuple(ERRORS)
) -> tuple[Edits, pd.DataFrame]:
    """Make every edit of the catalogue.

    A value outside the plausible limits is left out by the extraction. The edit is `caught`, and
    the value is missing.

    Args:
        records: The recorded values.
        errors: Names in ERRORS.

    Returns:
        The edits, and one row for each: stay, error, event (the first changed value), measurement,
        bin, recorded, written (the new value), caught, and weight (how many such errors happen at
        this place, as published; NaN without a source).
    """
    parts, tables, done = [], [], 0
    for name in errors:
        changes = ERRORS[name].make(records)
        if not len(changes.event):
            continue
        edits, table = _numbered(records, changes, name)
        parts.append(edits._replace(number=edits.number + done))
        tables.append(table)
        done += len(table)
    joined = Edits(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    return joined, pd.concat(tables, ignore_index=True)


def _numbered(records: Records, changes: Changes, name: str) -> tuple[Edits, pd.DataFrame]:
    """The edits of one kind of error, numbered from 0."""
    order = np.argsort(changes.key, kind="stable")
    event, hour, value = (part[order] for part in changes[:3])
    number = np.unique(changes.key[order], return_inverse=True)[1]
    outside = outside_limits(records, event, value)
    first = np.searchsorted(number, np.arange(number[-1] + 1))
    lead = event[first]
    share = 1 / np.bincount(lead, minlength=len(records.value))[lead]
    rate = ERRORS[name].rate
    table = pd.DataFrame(
        {
            "stay": records.stay[lead],
            "error": name,
            "event": lead,
            "measurement": records.measurement[lead],
            "bin": records.bin[lead],
            "recorded": records.value[lead],
            "written": value[first],
            "caught": np.bincount(number, weights=outside) > 0,
            "weight": np.nan if rate is None else rate * share,
        }
    )
    value = np.where(outside, np.float32(np.nan), value)
    return Edits(records.stay[lead], number, event, hour, value), table


def answers(
    models: Mapping[str, RiskModel],
    records: Records,
    grid: np.ndarray,
    stays: pd.DataFrame,
    edits: Edits,
) -> dict[str, np.ndarray]:
    """Ask models about every edit.

    Args:
        models: The models, by name.
        records: The recorded values.
        grid: The grid of their stays, (N, T, M).
        stays: The N rows of schemas.COHORT.
        edits: The edits.

    Returns:
        The calibrated log odds of death after each edit, float64 (K,), by model.
    """
    found = {name: np.empty(len(edits.stay)) for name in models}
    order = np.argsort(edits.stay, kind="stable")
    for first in range(0, len(order), CHUNK):
        rows = order[first : first + CHUNK]
        grids = edited_grids(records, grid, _only(edits, rows))
        for name, model in models.items():
            seen = model.seen(grids)
            _, kept, place = np.unique(
                _prints(seen, edits.stay[rows]), return_index=True, return_inverse=True
            )
            asked = stays.iloc[edits.stay[rows][kept]]
            found[name][rows] = model.log_odds(grids[kept], asked)[place]
    return found


def _only(edits: Edits, rows: np.ndarray) -> Edits:
    """Some edits, in the order of `rows`."""
    starts = np.searchsorted(edits.number, rows)
    sizes = np.searchsorted(edits.number, rows + 1) - starts
    place = np.repeat(np.arange(len(rows)), sizes)
    changed = np.arange(len(place)) - (sizes.cumsum() - sizes)[place] + starts[place]
    values = (edits.event[changed], edits.hour[changed], edits.value[changed])
    return Edits(edits.stay[rows], place, *values)


def _prints(grids: np.ndarray, stay: np.ndarray) -> np.ndarray:
    """A key for each grid and stay: equal grids of a stay have equal keys."""
    bits = np.ascontiguousarray(grids).view(np.uint32).reshape(len(grids), -1).astype(np.uint64)
    factors = np.random.default_rng(0).integers(1, 2**63, bits.shape[1], np.uint64) | np.uint64(1)
    return (bits * factors).sum(1, dtype=np.uint64) ^ (stay.astype(np.uint64) << np.uint64(48))
