"""What MIMIC-III and MIMIC-IV share: which events belong to a stay, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.account import NO_STAY, NO_TIME, OUTSIDE, Account
from icu_adversarial.extract.events import CODES, to_events
from icu_adversarial.extract.sources.mimic_sql import COUNTS_QUERY, EVENTS_QUERY, fill
from icu_adversarial.extract.sources.mimic_sql import tables as tables_of
from icu_adversarial.extract.storage.database import Database, open_raw
from icu_adversarial.extract.storage.views import MEASURED, Table
from icu_adversarial.measurements import MEASUREMENTS, NAMES, Measurement

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
EVENT_TABLES = ("chartevents", "labevents")
EVENT_COLUMNS = {
    "subject_id": "BIGINT",
    "hadm_id": "BIGINT",
    "itemid": "INTEGER",
    "charttime": "TIMESTAMP",
    "valuenum": MEASURED,
    "valueuom": "VARCHAR",
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
    types = dict.fromkeys(hours, "float32") | {"stay_id": "int64", "died": "boolean"}
    counts = found["left_out"].value_counts()
    excluded = {reason: int(counts[reason]) for reason in REASONS.values() if reason in counts}
    return stays.drop(columns="flag").astype(types), excluded


def with_events(stay_tables: dict[str, Table], chart: dict[str, str]) -> dict[str, Table]:
    """All that is read: the tables of the stays, CHARTEVENTS and LABEVENTS.

    Args:
        stay_tables: The tables of the stays.
        chart: Columns of CHARTEVENTS in addition to EVENT_COLUMNS.
    """
    items = [i for m in MEASUREMENTS for i in m.items]
    keep = {
        table: ("itemid", tuple(n for i in items if i.table == table for n in i.itemids))
        for table in EVENT_TABLES
    }
    return stay_tables | {
        "chartevents": Table(EVENT_COLUMNS | chart, keep["chartevents"]),
        "labevents": Table(EVENT_COLUMNS, keep["labevents"]),
    }


def events(
    raw: Path,
    window_hours: int,
    measurements: tuple[Measurement, ...],
    tables: dict[str, Table],
    account: Account,
    *,
    stays: str,
    charts: str,
) -> Iterator[pa.RecordBatch]:
    """Batches of tables.EVENTS.

    Args:
        raw: The place of the tables.
        window_hours: Length of the observation window.
        measurements: What is read.
        tables: Those of with_events.
        account: What counts the rows. It is complete when the last batch is read.
        stays, charts: As in mimic_sql.fill.

    Raises:
        InputError: A table cannot be read, or changes while it is read.
    """
    arguments = (window_hours, measurements, stays, charts)
    with open_raw(raw, tables) as database:
        _count(database, fill(COUNTS_QUERY, *arguments), account)
        rows = database.batches(fill(EVENTS_QUERY, *arguments))
        yield from to_events(rows, tables_of(measurements), account)
    account.check(raw)


def _count(database: Database, query: str, account: Account) -> None:
    """All rows, and why those that are left out are left out."""
    for row in database.frame(query).itertuples(index=False):
        group = row.source, NAMES[CODES[row.rank]]
        account.add_read(*group, row.rows_read)
        account.add(*group, NO_STAY, row.rows_read - row.of_stay)
        account.add(*group, NO_TIME, row.untimed)
        account.add(*group, OUTSIDE, row.of_stay - row.untimed - row.counted)
        if not pd.isna(row.reason):
            account.add(*group, row.reason, row.counted)
    for table in EVENT_TABLES:
        account.add_unmapped(table, database.rows(table))
