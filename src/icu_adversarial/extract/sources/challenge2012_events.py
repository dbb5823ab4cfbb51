"""From the rows of the Challenge 2012 to events. challenge2012.py calls this module."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.extract.account import IMPLAUSIBLE, NO_NUMBER, OF_STAYS, OUTSIDE, Account
from icu_adversarial.extract.events import KEY, RANKS, to_events
from icu_adversarial.measurements import Measurement

DESCRIPTORS = ["Age", "Gender", "ICUType"]


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
    parts = [
        _counting(rows[rows["parameter"] == parameter], m, window_hours, account).assign(
            rank=RANKS[m.name], parameter=parameter
        )
        for m in measurements
        for parameter in m.challenge
    ]
    for name, count in rows.loc[rows["parameter"].isin(DESCRIPTORS), "set"].value_counts().items():
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
    rows: pd.DataFrame, m: Measurement, window_hours: int, account: Account
) -> pd.DataFrame:
    """The rows of a parameter that count; those that do not are counted by reason."""
    items, value = m.items[-1], rows["value"]
    below = value <= items.below if items.below_counts else value < items.below
    reason = pd.Series(
        np.select(
            [rows["hour"] >= window_hours, value.isna(), ~(below & (value > items.above))],
            [OUTSIDE, NO_NUMBER, IMPLAUSIBLE],
            "",
        ),
        rows.index,
    )
    for (name, why), count in reason.groupby([rows["set"], reason], observed=True).size().items():
        account.add_read(name, m.name, count)
        if why:
            account.add(name, m.name, why, count)
    return rows[reason == ""]
