"""The sources of records by name.

Each has a module in `sources` with a function `read(raw, window_hours, measurements) -> Records`.
A new source is a new module there and a line here.
"""

from importlib import import_module
from pathlib import Path

from icu_adversarial.extract.records import Records
from icu_adversarial.measurements import Measurement

# The synthetic hospital writes the tables of MIMIC-III.
READERS = {
    "synthetic": "mimic3",
    "mimiciii": "mimic3",
    "mimiciv": "mimic4",
    "eicu": "eicu",
    "challenge2012": "challenge2012",
    "meds": "meds",
}


def read(
    source: str,
    raw: Path,
    window_hours: int,
    measurements: tuple[Measurement, ...],
    code_map: Path,
    lab_time: str = "drawn",
) -> Records:
    """Read the records of a source.

    Args:
        source: A name in READERS.
        raw: The folder or database file of the records.
        window_hours: Hours from the admission to the ICU on.
        measurements: The measurements to read.
        code_map: The table of codes that source meds needs; other sources have none.
        lab_time: extract.lab_time. Only mimiciv and eicu have a choice.

    Returns:
        The records.

    Raises:
        InputError: `raw` does not hold them.
    """
    reader = import_module(f"icu_adversarial.extract.sources.{READERS[source]}")
    options: dict[str, object] = {"code_map": code_map} if source == "meds" else {}
    if lab_time == "stored":
        options["stored"] = True
    records: Records = reader.read(raw, window_hours, measurements, **options)
    return records
