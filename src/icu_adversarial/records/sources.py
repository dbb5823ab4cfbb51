"""Where records come from. Every source has a reader `read(raw, window_hours, measurements) -> Records` in a module of its own."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from icu_adversarial.measurements import Measurement


class Records(NamedTuple):
    """stays: the columns of tables.STAYS, sorted by stay_id. events: batches of tables.EVENTS in its total order; read once."""

    stays: pd.DataFrame
    events: Iterator[pa.RecordBatch]


class Source(NamedTuple):
    """label names the data in every figure and report."""

    label: str
    reader: str


SOURCES = {
    "synthetic": Source("synthetic hospital (not real patients)", "mimic3"),
    "mimiciii": Source("MIMIC-III", "mimic3"),
    "challenge2012": Source("PhysioNet Challenge 2012", "challenge2012"),
}


def read(source: str, raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Raises InputError when `raw` does not hold what the source needs."""
    return import_module(f"icu_adversarial.records.{SOURCES[source].reader}").read(raw, window_hours, measurements)
