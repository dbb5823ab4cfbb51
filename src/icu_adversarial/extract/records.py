"""What a source of records returns, and what its readers share."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.account import Account
from icu_adversarial.measurements import POTASSIUM_CHEMISTRY, Measurement


class Records(NamedTuple):
    """What a source holds.

    stays: the columns of tables.STAYS, sorted by stay_id.
    events: batches of tables.EVENTS in its total order; read once.
    account: what became of every row; it is complete when the events are read.
    excluded: stays that the source leaves out, by reason.
    """

    stays: pd.DataFrame
    events: Iterator[pa.RecordBatch]
    account: Account
    excluded: dict[str, int] = {}  # noqa: RUF012 (a tuple's default, which nothing changes)


def refuse_blood_gas(measurements: tuple[Measurement, ...], reason: str) -> None:
    """Raise InputError where potassium from blood gases alone is wanted.

    Only the item ids of MIMIC tell the two apart.
    """
    if all(POTASSIUM_CHEMISTRY not in m.items for m in measurements):
        raise InputError(f"extract.potassium: blood_gas: {reason}: use both")
