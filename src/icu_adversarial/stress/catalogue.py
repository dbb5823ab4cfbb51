"""The everyday errors of a record: what each does to recorded values, and how often it happens."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from icu_adversarial.measurements import DICTIONARY
from icu_adversarial.records.recorded import Records

# A value in another unit is the value times this factor. The first unit is that of the dictionary.
OTHER_UNITS = {
    "glucose": (1 / 18.02, "mg/dL as mmol/L"),
    "creatinine": (88.4, "mg/dL as µmol/L"),
    "bun": (0.357, "mg/dL as mmol/L"),
    "calcium": (4.008, "mmol/L as mg/dL"),
    "magnesium": (1 / 2.431, "mg/dL as mmol/L"),
    "lactate": (9.01, "mmol/L as mg/dL"),
    "albumin": (10.0, "g/dL as g/L"),
    "bilirubin": (17.1, "mg/dL as µmol/L"),
    "cholesterol": (1 / 38.67, "mg/dL as mmol/L"),
    "pco2": (0.1333, "mmHg as kPa"),
    "pao2": (0.1333, "mmHg as kPa"),
}
PRESSURES = ("sysbp", "diasbp")
DIGITS = 3  # leading digits of a value in which two neighbours may be swapped


class Changes(NamedTuple):
    """The changed values of some edits. An edit of one measurement has one row or several.

    Attributes:
        event: The changed values, rows of `Records`.
        hour: Their new hours.
        value: Their new values; NaN = missing.
        key: Rows with the same key are one edit, int64.
    """

    event: np.ndarray
    hour: np.ndarray
    value: np.ndarray
    key: np.ndarray


class Error(NamedTuple):
    """One kind of error.

    Attributes:
        about: What happens, in words.
        make: Makes every edit of this kind.
        rate: How often it happens for each recorded value (or panel), as published; None = not
            known.
        source: Where the rate is from.
    """

    about: str
    make: Callable[[Records], Changes]
    rate: float | None = None
    source: str = ""


def _single(records: Records, rows: np.ndarray, value: np.ndarray, hour: np.ndarray) -> Changes:
    """Edits of one value each."""
    return Changes(rows, hour.astype(np.float32), value.astype(np.float32), rows)


def _scaled(factor: float) -> Callable[[Records], Changes]:
    def make(records: Records) -> Changes:
        rows = np.flatnonzero(records.value != 0)
        return _single(records, rows, records.value[rows] * factor, records.hour[rows])

    return make


def _digits_swapped(records: Records) -> Changes:
    """Every swap of two neighbours among the first DIGITS digits that changes the value."""
    known, place = np.unique(records.value, return_inverse=True)
    events, values = [], []
    order = np.argsort(place, kind="stable")
    groups = np.split(order, np.searchsorted(place[order], np.arange(1, len(known))))
    for number, rows in zip(known, groups, strict=True):
        for swapped in _swaps(number):
            events.append(rows)
            values.append(np.full(len(rows), swapped))
    if not events:
        return Changes(*(np.empty(0, kind) for kind in (np.int64, "f4", "f4", np.int64)))
    event, value = np.concatenate(events), np.concatenate(values)
    return Changes(
        event, records.hour[event], value.astype(np.float32), np.arange(len(event), dtype=np.int64)
    )


def _swaps(number: np.float32) -> list[float]:
    """The values that arise when two neighbouring digits are swapped."""
    text = f"{number:.4g}"
    if "e" in text:
        return []
    places = [i for i, sign in enumerate(text) if sign.isdigit()][:DIGITS]
    found = []
    for a, b in pairwise(places):
        if text[a] != text[b]:
            signs = list(text)
            signs[a], signs[b] = signs[b], signs[a]
            found.append(float("".join(signs)))
    return found


def _unit_mistaken(records: Records) -> Changes:
    factor = np.array([OTHER_UNITS.get(name, (np.nan,))[0] for name in records.names])
    value = records.value * factor[records.measurement]
    if "tempc" in records.names:
        warm = records.measurement == records.names.index("tempc")
        value = np.where(warm, records.value * 1.8 + 32, value)
    rows = np.flatnonzero(np.isfinite(value) & (records.value != 0))
    return _single(records, rows, value[rows], records.hour[rows])


def _copied(records: Records) -> Changes:
    """The last value of the hour before is written again."""
    bins = records.bin
    # the last value of an earlier bin of the same stay and measurement
    new_bin = np.append(True, (bins[1:] != bins[:-1]) | _other_slot(records))
    first_of_bin = np.maximum.accumulate(np.where(new_bin, np.arange(len(bins)), 0))
    before = first_of_bin - 1
    slot = records.stay * len(records.names) + records.measurement
    known = (before >= 0) & (slot[before] == slot) & (bins[before] == bins - 1)
    known &= records.value[before] != records.value
    rows = np.flatnonzero(known)
    return _single(records, rows, records.value[before[rows]], records.hour[rows])


def _other_slot(records: Records) -> np.ndarray:
    slot = records.stay * len(records.names) + records.measurement
    return np.asarray(slot[1:] != slot[:-1])


def _pressures_swapped(records: Records) -> Changes:
    """Systolic and diastolic pressure of the same time change places."""
    if not set(PRESSURES) <= set(records.names):
        return Changes(*(np.empty(0, kind) for kind in (np.int64, "f4", "f4", np.int64)))
    frames = []
    for name in PRESSURES:
        rows = np.flatnonzero(records.measurement == records.names.index(name))
        frames.append(
            pd.DataFrame(
                {"stay": records.stay[rows], "hour": records.hour[rows], name: rows}
            ).drop_duplicates(["stay", "hour"])
        )
    pairs = frames[0].merge(frames[1], on=["stay", "hour"])
    high, low = (pairs[name].to_numpy(np.int64) for name in PRESSURES)
    event, other = np.concatenate([high, low]), np.concatenate([low, high])
    key = np.tile(np.arange(len(pairs), dtype=np.int64), 2)
    return Changes(event, records.hour[event], records.value[other], key)


def _moved(hours: float) -> Callable[[Records], Changes]:
    def make(records: Records) -> Changes:
        rows = np.arange(len(records.value))
        return _single(records, rows, records.value, records.hour + hours)

    return make


def _other_panel(records: Records) -> Changes:
    """All laboratory values of one time are those of another patient.

    The other patient is the next stay. Its value nearest in time is taken. A measurement that the
    other patient lacks stays.
    """
    laboratory = np.array(
        [any(e.table == "labevents" for e in DICTIONARY[name].mimic) for name in records.names]
    )
    stays, m = int(records.stay.max(initial=-1)) + 1, len(records.names)
    rows = np.flatnonzero(laboratory[records.measurement])
    slot = (records.stay[rows] + 1) % max(stays, 1) * m + records.measurement[rows]
    first, last = records.starts[slot], records.starts[slot + 1]
    has = last > first
    rows, first, last = rows[has], first[has], last[has]
    nearest = np.array(
        [
            a + int(np.abs(records.hour[a:b] - hour).argmin())
            for a, b, hour in zip(first, last, records.hour[rows], strict=True)
        ],
        np.int64,
    )
    times = pd.DataFrame({"stay": records.stay[rows], "hour": records.hour[rows]})
    key = times.groupby(["stay", "hour"]).ngroup().to_numpy(np.int64)
    return Changes(rows, records.hour[rows], records.value[nearest], key)


def _missing(records: Records) -> Changes:
    rows = np.arange(len(records.value))
    return _single(records, rows, np.full(len(rows), np.nan), records.hour)


# Mays and Mathias 2019: 260 of 6,930 manual entries differed from the device, 37 of them by more
# than 20 %. The errors of this group share this rate equally.
MAYS = "Mays and Mathias 2019, doi:10.1093/jamia/ocy170: 37 of 6,930 manual entries, shared by four"
WRONG_NUMBER = 37 / 6930 / 4
DZIK = "Dzik et al. 2003, doi:10.1046/j.1423-0410.2003.00313.x: about 1 of 2,000 blood samples"

ERRORS: dict[str, Error] = {
    "times_ten": Error("Decimal point slipped: × 10", _scaled(10.0), WRONG_NUMBER, MAYS),
    "divided_by_ten": Error("Decimal point slipped: ÷ 10", _scaled(0.1), WRONG_NUMBER, MAYS),
    "digits_swapped": Error("Two digits swapped", _digits_swapped, WRONG_NUMBER, MAYS),
    "unit_mistaken": Error("Unit mistaken", _unit_mistaken, WRONG_NUMBER, MAYS),
    "copied": Error("Copied from the hour before", _copied),
    "pressures_swapped": Error("Systolic and diastolic swapped", _pressures_swapped),
    "hour_early": Error("Entered 1 hour early", _moved(-1.0)),
    "hour_late": Error("Entered 1 hour late", _moved(1.0)),
    "half_day_early": Error("Entered 12 hours early", _moved(-12.0)),
    "half_day_late": Error("Entered 12 hours late", _moved(12.0)),
    "other_patient": Error("Another patient's panel", _other_panel, 1 / 2000, DZIK),
    "missing": Error("Value missing", _missing),
}


def outside_limits(records: Records, event: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Which new values the plausible limits of the dictionary leave out, bool.

    Args:
        records: The recorded values.
        event: The changed values, rows of `records`.
        value: The new values in clinical units; NaN = missing, which no limit leaves out.
    """
    column = records.measurement[event]
    ends: Sequence[tuple[float, float, bool]] = [
        (lim.above, lim.highest, lim.highest_counts)
        for lim in (DICTIONARY[name].limits for name in records.names)
    ]
    above, highest, counts = (np.array(part)[column] for part in zip(*ends, strict=True))
    return (value <= above) | (value > highest) | ((value == highest) & ~counts)
