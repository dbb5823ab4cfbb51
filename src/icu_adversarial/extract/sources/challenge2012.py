"""PhysioNet/CinC Challenge 2012: text records of sets a, b and c with their outcomes.

A set is a folder or a tar.gz of records of 48 hours. They become stays and events.
"""

import io
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.account import Account
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.sources.challenge2012_events import DESCRIPTORS, events
from icu_adversarial.measurements import Measurement

SETS = ("set-a", "set-b", "set-c")
ICU_TYPES = {
    1: "CCU",
    2: "CSRU",
    3: "MICU",
    4: "SICU",
}  # coronary care, cardiac surgery recovery, medical, surgical
SEXES = {0: "F", 1: "M"}
HEADER = b"Time,Parameter,Value"
RECORD_HOURS = 48
# The Challenge does not say how long its patients are followed. The recorded deaths of sets A and B
# reach 2,620 days and become rarer without a step: a year is taken to be complete.
FOLLOWED_DAYS = 365


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read every set that a folder holds: `set-X/` or `set-X.tar.gz`, each with `Outcomes-X.txt`.

    A record is a stay and a subject of its own. The label is In-hospital_death. A survivor whose
    Survival is not longer than the Length_of_stay contradicts himself: the outcome is unknown.
    Lengths of stay and survival are whole days: a stay ends, and a patient dies, at the last hour
    that they allow, since every record is of 48 hours or more. Survival, where it is not -1, is the
    day of death, also after the discharge. The end of the stay in the ICU is unknown.

    Args:
        raw: The folder.
        window_hours: Length of the observation window, at most 48.
        measurements: What is read.

    Raises:
        InputError: A set or outcome file is missing, a set is there twice, a record is not one,
            the window is longer than the records, or they have no chosen measurement.
    """
    if window_hours > RECORD_HOURS:
        raise InputError(
            f"window_hours: {window_hours}: the Challenge records end after {RECORD_HOURS} hours:"
            f" use at most {RECORD_HOURS}"
        )
    if not any(m.challenge2012 for m in measurements):
        names = ", ".join(m.name for m in measurements)
        raise InputError(f"measurements: the Challenge records have none of {names}: add others")
    found = []
    for name in SETS:
        folder, archive = raw / name, raw / f"{name}.tar.gz"
        if folder.is_dir() and archive.is_file():
            raise InputError(
                f"{raw}: {name} is there twice: {folder.name} and {archive.name}: remove one"
            )
        if folder.is_dir() or archive.is_file():
            found.append(name)
    if not found:
        raise InputError(
            f"extract.raw: {raw} holds none of {', '.join(SETS)} (a folder or .tar.gz)"
        )
    sets = [_read_set(raw, name) for name in found]
    rows = pd.concat([rows for rows, _ in sets], ignore_index=True)
    rows["set"] = pd.Categorical.from_codes(
        np.repeat(np.arange(len(sets)), [len(rows) for rows, _ in sets]), found
    )
    stays = _stays(rows, pd.concat([outcomes for _, outcomes in sets], ignore_index=True))
    account = Account([m.name for m in measurements])
    return Records(stays, events(raw, rows, window_hours, measurements, account), account)


def _read_set(raw: Path, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows (stay_id, hour, parameter, value) of all records of a set, and its outcomes."""
    outcomes_file = raw / f"Outcomes-{name[-1]}.txt"
    try:
        outcomes = pd.read_csv(
            outcomes_file,
            usecols=["RecordID", "Length_of_stay", "Survival", "In-hospital_death"],
            dtype="int64",
        )
    except FileNotFoundError:
        raise InputError(f"{outcomes_file} is missing: {name} needs its outcomes") from None
    except ValueError as error:
        raise InputError(
            f"{outcomes_file} is not an outcome file: {' '.join(str(error).split())}"
        ) from None
    if wrong := (~outcomes["In-hospital_death"].isin([0, 1])).sum():
        raise InputError(f"{outcomes_file}: In-hospital_death: {wrong} values are neither 0 nor 1")
    records = dict(_bodies(raw, name))
    ids = np.array(list(map(int, records)), np.int64)
    unknown = set(ids) ^ set(outcomes["RecordID"])
    if unknown or len(ids) != len(outcomes):
        raise InputError(
            f"{raw}: {name} has {len(ids)} records, {outcomes_file.name} {len(outcomes)} outcomes,"
            f" {len(unknown)} of them without the other"
        )
    rows = _parsed(raw / name, b"\n".join(chain.from_iterable(records.values())))
    lines = [len(text) for text in records.values()]
    if len(rows) != sum(lines):
        raise InputError(f"{raw / name}: a line is not HH:MM,parameter,number")
    return rows.assign(stay_id=np.repeat(ids, lines)), outcomes.assign(source_group=name)


def _bodies(raw: Path, name: str) -> Iterator[tuple[str, list[bytes]]]:
    """Name without ending, and lines without the header and blank ones, of every record."""
    seen = set()
    for stem, text in _records(raw, name):
        if not text.startswith(HEADER) or not stem.isdigit():
            raise InputError(
                f"{raw / name}: record {stem}.txt does not begin with {HEADER.decode()}"
            )
        if int(stem) in seen:
            raise InputError(f"{raw / name}: record {stem}.txt is there twice: remove one")
        seen.add(int(stem))
        yield stem, [line for line in text.splitlines()[1:] if line.strip()]


def _parsed(place: Path, text: bytes) -> pd.DataFrame:
    """Rows (hour, parameter, value) of lines of records."""
    # few distinct times and parameters: each is decoded once
    word = pa.dictionary(pa.int32(), pa.string())
    types = {"time": word, "parameter": word, "value": pa.float64()}
    try:
        table = pa.csv.read_csv(
            io.BytesIO(text),
            read_options=pa.csv.ReadOptions(column_names=list(types)),
            convert_options=pa.csv.ConvertOptions(column_types=types),
        ).to_pandas()
        clock = (
            table["time"]
            .cat.categories.to_series()
            .str.extract(r"^(\d+):([0-5]\d)$")
            .astype("int64")
        )
    except (pa.ArrowInvalid, ValueError):
        raise InputError(f"{place}: a line is not HH:MM,parameter,number") from None
    hour = (clock[0] + clock[1] / 60).to_numpy("float32")[table["time"].cat.codes]
    return table.assign(hour=hour).drop(columns="time")


def _records(raw: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Name without ending, and content, of every record of a set."""
    if (raw / name).is_dir():
        for file in sorted((raw / name).glob("*.txt")):
            yield file.stem, file.read_bytes()
        return
    try:
        with tarfile.open(raw / f"{name}.tar.gz") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None and member.name.endswith(".txt"):
                    yield Path(member.name).stem, content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{raw / name}.tar.gz is damaged ({error}): download it again") from None


def _stays(rows: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Descriptors are at 00:00 of each record; -1 means unknown."""
    described = rows[(rows["hour"] == 0) & rows["parameter"].isin(DESCRIPTORS)]
    described = described.drop_duplicates(["stay_id", "parameter"]).pivot(
        index="stay_id", columns="parameter", values="value"
    )
    o = outcomes.sort_values("RecordID").set_index("RecordID")
    if not o.index.is_unique:
        raise InputError(f"{o.index.duplicated().sum()} RecordIDs are in more than one set")
    described = described.reindex(index=o.index, columns=DESCRIPTORS)
    died = o["In-hospital_death"] == 1
    known = (o["Survival"] >= 0) & (o["Length_of_stay"] >= 0)
    within = o["Survival"] <= o["Length_of_stay"]
    contradictory = known & (died != within)
    # Where the outcome is known; without a Survival, a patient who left alive is taken to live on.
    day_known = ~contradictory & (o["Survival"] >= 0)
    followed = ~contradictory & ((o["Survival"] >= 0) | (~died & (o["Survival"] == -1)))
    last_hour = {
        column: ((o[column] + 1) * 24.0).where(o[column] >= 0)
        for column in ("Length_of_stay", "Survival")
    }
    return pd.DataFrame(
        {
            "stay_id": o.index,
            "subject_id": o.index,
            "hadm_id": pd.array([None] * len(o), dtype="Int64"),
            "subject_order": np.int16(1),
            "source_group": o["source_group"],
            "age": described["Age"].where(described["Age"] >= 0).clip(upper=90).astype("float32"),
            "sex": described["Gender"].map(SEXES),
            "icu_type": described["ICUType"].map(ICU_TYPES),
            "admit_hour": np.float32("nan"),
            "discharge_hour": last_hour["Length_of_stay"].astype("float32"),
            "out_hour": np.float32("nan"),
            "death_hour": last_hour["Survival"].where(died).astype("float32"),
            "died": died.astype("boolean").mask(contradictory),
            "icu_died": pd.array([None] * len(o), dtype="boolean"),
            "death_day": o["Survival"].astype("Int32").where(day_known),
            "followed_days": pd.Series(FOLLOWED_DAYS, o.index, "Int32").where(followed),
        }
    ).reset_index(drop=True)
