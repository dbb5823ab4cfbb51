"""Where records come from. Every source has a reader `read(raw, window_hours, measurements) -> Records` in a module of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from icu_adversarial.measurements import Measurement


class Records(NamedTuple):
    """stays: the columns of tables.STAYS, sorted by stay_id. events: batches of tables.EVENTS in its total order; read once."""

    stays: pd.DataFrame
    events: Iterator[pa.RecordBatch]


def read(source: str, raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Records of one of params.LABELS, the synthetic hospital by the reader of MIMIC-III. Raises InputError when `raw` does not hold them."""
    if source == "challenge2012":
        from icu_adversarial.records import challenge2012

        return challenge2012.read(raw, window_hours, measurements)
    from icu_adversarial.records import mimic3

    return mimic3.read(raw, window_hours, measurements)
