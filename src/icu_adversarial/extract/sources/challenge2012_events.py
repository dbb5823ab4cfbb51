"""From the rows of the Challenge 2012 to events. challenge2012.py calls this module."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.extract.account import IMPLAUSIBLE, NO_NUMBER, OF_STAYS, OUTSIDE, Account
from icu_adversarial.extract.events import KEY, ranks, to_events
from icu_adversarial.measurements import Measurement, Rows

DESCRIPTORS = ["Age", "Gender", "ICUType"]
BODY, UNKNOWN = ["Height", "Weight"], -1  # the value of an unknown height or weight


def events(
    raw: Path,
    rows: pd.DataFrame,
    window_hours: int,
    measurements: tuple[Measurement, ...],
    account: Account,
) -> Iterator[pa.RecordBatch]:
    """Batches of tables.EVENTS.

    Args:
        raw: The folder, for messages.
        rows: stay_id, hour, parameter, value and set (categorical) of all records.
        window_hours: Length of the observation window.
        measurements: What is read.
        account: What counts the rows; the table of a row is its set.
    """
    rank = ranks(measurements)
    parts = [
        _counting(rows[rows["parameter"] == code], m.name, entry, window_hours, account).assign(
            rank=rank[m.name]
        )
        for m in measurements
        for entry in m.challenge2012
        for code in entry.codes
    ]
    described = rows["parameter"].isin(DESCRIPTORS)
    for name, count in rows.loc[described, "set"].value_counts().items():
        account.add_all(str(name), OF_STAYS, count)
    for name, count in rows["set"].value_counts().items():
        account.add_unmapped(str(name), count)
    found = pd.concat(parts)
    codes = found["set"].cat.codes.to_numpy("int64") * len(parts) + np.repeat(
        np.arange(len(parts)), [len(part) for part in parts]
    )
    found = found.assign(code=codes).sort_values(
        ["stay_id", "hour", "rank", "value", "code"], kind="stable", ignore_index=True
    )
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(found["stay_id"], pa.int64()),
            pa.array(found["hour"]),
            pa.array(found["rank"], pa.int64()),
            pa.array(found["value"]),
            pa.array(found["code"], pa.int64()),
            pa.array(np.ones(len(found), bool)),
        ],
        names=[*KEY, "first_stay"],
    )
    tables = [str(name) for name in found["set"].cat.categories for _ in parts]
    yield from to_events([batch], tables, account)
    account.check(raw)


def _counting(
    rows: pd.DataFrame, name: str, entry: Rows, window_hours: int, account: Account
) -> pd.DataFrame:
    """The rows of a parameter that count; those that do not are counted by reason.

    The value UNKNOWN of BODY is no number.
    """
    limits, value = entry.limits, rows["value"]
    below = value <= limits.highest if limits.highest_counts else value < limits.highest
    unknown = value.isna() | rows["parameter"].isin(BODY) & (value == UNKNOWN)
    reason = pd.Series(
        np.select(
            [rows["hour"] >= window_hours, unknown, ~(below & (value > limits.above))],
            [OUTSIDE, NO_NUMBER, IMPLAUSIBLE],
            "",
        ),
        rows.index,
    )
    for (place, why), count in reason.groupby([rows["set"], reason], observed=True).size().items():
        account.add_read(place, name, count)
        if why:
            account.add(place, name, why, count)
    kept = rows[reason == ""]
    return kept.assign(value=1.0 if entry.means_one else kept["value"] * entry.factor)
