"""What MIMIC-III and MIMIC-IV share: which events belong to a stay, and what is refused."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.account import NO_STAY, NO_TIME, OUTSIDE, Account
from icu_adversarial.extract.events import to_events
from icu_adversarial.extract.sources.mimic_sql import COUNTS_QUERY, EVENTS_QUERY, fill
from icu_adversarial.extract.sources.mimic_sql import tables as tables_of
from icu_adversarial.extract.storage.database import Database, open_raw
from icu_adversarial.extract.storage.views import MEASURED, Table
from icu_adversarial.measurements import Measurement

ADMISSIONS = Table(
    {
        "subject_id": "BIGINT",
        "hadm_id": "BIGINT",
        "admittime": "TIMESTAMP",
        "dischtime": "TIMESTAMP",
        "deathtime": "TIMESTAMP",
        "hospital_expire_flag": "INTEGER",
    }
)
EVENT_TABLES = ("chartevents", "labevents", "outputevents")
EVENT_COLUMNS = {
    "subject_id": "BIGINT",
    "hadm_id": "BIGINT",
    "itemid": "INTEGER",
    "charttime": "TIMESTAMP",
    "valuenum": MEASURED,
    "valueuom": "VARCHAR",
}
OUTPUT_COLUMNS = {key: kind for key, kind in EVENT_COLUMNS.items() if key != "valuenum"} | {
    "value": MEASURED
}
REASONS = {
    "unknown": "admission and patient known",
    "contradictory": "admission of the same patient and time",
    "undated": "time of ICU admission known",
}


def checked(
    raw: Path, found: pd.DataFrame, required: dict[str, str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The stays that the source gives, and how many it leaves out.

    Args:
        raw: The place, for messages.
        found: The result of a `stays_query`.
        required: Columns that are never null → where they come from.

    Returns:
        Stays with hours and ages in float32; number of stays by reason, for Records.excluded.

    Raises:
        InputError: No stay, a null in a required column, or a stay that occurs twice.
    """
    stays = found[found["left_out"].isna()].drop(columns="left_out").reset_index(drop=True)
    if stays.empty:
        raise InputError(
            f"{raw}: no ICU stay has its patient and its admission in PATIENTS and ADMISSIONS"
        )
    for column, name in required.items():
        if missing := stays[column].isna().sum():
            raise InputError(f"{raw}: {name}: {missing} values are missing")
    if wrong := stays["flag"].isna().sum():
        raise InputError(
            f"{raw}: ADMISSIONS.hospital_expire_flag: {wrong} values are missing or neither 0 nor 1"
        )
    if repeated := found["stay_id"].dropna().duplicated().sum():
        raise InputError(
            f"{raw}: {repeated} ICU stays occur more than once:"
            " ids in ICUSTAYS, PATIENTS, ADMISSIONS must be unique"
        )
    hours = ("age", "admit_hour", "discharge_hour", "out_hour", "death_hour")
    types = dict.fromkeys(hours, "float32") | dict.fromkeys(("died", "icu_died"), "boolean")
    types |= dict.fromkeys(("death_day", "followed_days"), "Int32") | {"stay_id": "int64"}
    counts = found["left_out"].value_counts()
    excluded = {reason: int(counts[reason]) for reason in REASONS.values() if reason in counts}
    return stays.drop(columns="flag").astype(types), excluded


def event_tables(
    measurements: Sequence[Measurement], columns: dict[str, dict[str, str]]
) -> dict[str, Table]:
    """The tables of the events that hold a measurement.

    Args:
        measurements: What is read.
        columns: The columns of each table of EVENT_TABLES.
    """
    rows = [row for m in measurements for row in m.mimic]
    items = {
        table: tuple(int(code) for row in rows if row.table == table for code in row.codes)
        for table in EVENT_TABLES
    }
    return {
        table: Table(columns[table], ("itemid", items[table]))
        for table in EVENT_TABLES
        if items[table]
    }


def events(
    raw: Path,
    window_hours: int,
    measurements: tuple[Measurement, ...],
    tables: dict[str, Table],
    account: Account,
    *,
    stays: str,
    charted: dict[str, str],
) -> Iterator[pa.RecordBatch]:
    """Batches of tables.EVENTS.

    Args:
        raw: The place of the tables.
        window_hours: Length of the observation window.
        measurements: What is read.
        tables: The tables of the stays and of the events.
        account: What counts the rows. It is complete when the last batch is read.
        stays, charted: As in mimic_sql.fill.

    Raises:
        InputError: A table cannot be read, or changes while it is read.
    """
    found = {table: charted[table] for table in EVENT_TABLES if table in tables}
    arguments = (window_hours, measurements, stays, found)
    with open_raw(raw, tables) as database:
        _count(database, fill(COUNTS_QUERY, *arguments), account)
        for table in found:
            account.add_unmapped(table, database.rows(table))
        rows = database.batches(fill(EVENTS_QUERY, *arguments))
        yield from to_events(rows, tables_of(measurements), account)
    account.check(raw)


def _count(database: Database, query: str, account: Account) -> None:
    """All rows, and why those that are left out are left out."""
    names = sorted(account.names)
    for row in database.frame(query).itertuples(index=False):
        group = row.source, names[row.rank]
        account.add_read(*group, row.rows_read)
        account.add(*group, NO_STAY, row.rows_read - row.of_stay)
        account.add(*group, NO_TIME, row.untimed)
        account.add(*group, OUTSIDE, row.of_stay - row.untimed - row.counted)
        if not pd.isna(row.reason):
            account.add(*group, row.reason, row.counted)
