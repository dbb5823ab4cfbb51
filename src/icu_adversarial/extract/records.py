"""What a source of records returns, and what its readers share."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from icu_adversarial.extract.account import Account


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
