"""Where records come from. Every source has a reader `read(raw, window_hours, measurements) -> Records` in a module of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import POTASSIUM_CHEMISTRY, Measurement


class Records(NamedTuple):
    """What a source holds.

    stays: the columns of tables.STAYS, sorted by stay_id.
    events: batches of tables.EVENTS in its total order; read once.
    excluded: stays that the source leaves out, by reason.
    left_out: laboratory values in a unit that cannot be converted, by test and unit. It is complete
        when the events are read.
    """

    stays: pd.DataFrame
    events: Iterator[pa.RecordBatch]
    excluded: dict[str, int] = {}  # noqa: RUF012 (a tuple's default, which nothing changes)
    left_out: dict[str, int] = {}  # noqa: RUF012


def read(
    source: str, raw: Path, window_hours: int, measurements: tuple[Measurement, ...], code_map: Path
) -> Records:
    """Records of one of params.LABELS, the synthetic hospital by the reader of MIMIC-III.

    `code_map` serves meds alone.

    Raises InputError when `raw` does not hold them.
    """
    if source == "challenge2012":
        from icu_adversarial.records import challenge2012

        return challenge2012.read(raw, window_hours, measurements)
    if source == "mimiciv":
        from icu_adversarial.records import mimic4

        return mimic4.read(raw, window_hours, measurements)
    if source == "eicu":
        from icu_adversarial.records import eicu

        return eicu.read(raw, window_hours, measurements)
    if source == "meds":
        from icu_adversarial.records import meds

        return meds.read(raw, window_hours, measurements, code_map)
    from icu_adversarial.records import mimic3

    return mimic3.read(raw, window_hours, measurements)


def refuse_blood_gas(measurements: tuple[Measurement, ...], reason: str) -> None:
    """Raise InputError where potassium from blood gases alone is wanted.

    Only the item ids of MIMIC tell the two apart.
    """
    if all(POTASSIUM_CHEMISTRY not in m.items for m in measurements):
        raise InputError(f"extract.potassium: blood_gas: {reason}: use both")
