"""What MIMIC-III and MIMIC-IV share: which events belong to a stay, and what is refused."""

from collections.abc import Iterator
from math import nextafter
from pathlib import Path

import pandas as pd
import pyarrow as pa

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import MEASUREMENTS, Measurement
from icu_adversarial.records.database import RANKS, open_raw
from icu_adversarial.records.views import Table

ADMISSIONS = Table(
    {
        "hadm_id": "BIGINT",
        "admittime": "TIMESTAMP",
        "dischtime": "TIMESTAMP",
        "deathtime": "TIMESTAMP",
        "hospital_expire_flag": "INTEGER",
    }
)
EVENT_COLUMNS = {
    "subject_id": "BIGINT",
    "hadm_id": "BIGINT",
    "itemid": "INTEGER",
    "charttime": "TIMESTAMP",
    "valuenum": "DOUBLE PRECISION",
}
HOURS = "CAST(EXTRACT(EPOCH FROM ({} - intime)) AS DOUBLE PRECISION) / 3600.0"  # PostgreSQL extracts a numeric, DuckDB a double
# An event belongs to every stay of its subject whose window contains its time, unless it names another admission or ICU stay.
# The hour is rounded to float32 before it is compared with the window's end.
EVENTS_QUERY = f"""
WITH {{stays}}, items(itemid, rank, above, at_most, fahrenheit) AS (VALUES {{items}}),
charted(subject_id, hadm_id, stay_id, itemid, charttime, valuenum) AS (
  {{charts}}
  UNION ALL
  SELECT subject_id, hadm_id, NULL, itemid, charttime, valuenum FROM labevents
), events AS (
  SELECT s.stay_id, CAST({HOURS.format("e.charttime")} AS REAL) AS hour, i.rank,
         CASE WHEN i.fahrenheit THEN (e.valuenum - 32) / 1.8 ELSE e.valuenum END AS value
  FROM charted e JOIN items i ON i.itemid = e.itemid JOIN stays s ON s.subject_id = e.subject_id
  WHERE e.charttime >= s.intime AND e.charttime < s.intime + INTERVAL '{{window_hours}} hours'
    AND (e.hadm_id IS NULL OR e.hadm_id = s.hadm_id) AND (e.stay_id IS NULL OR e.stay_id = s.stay_id)
    AND e.valuenum > i.above AND e.valuenum <= i.at_most
)
SELECT stay_id, hour, rank, value FROM events WHERE hour < {{window_hours}} ORDER BY stay_id, hour, rank, value
"""


def checked(raw: Path, stays: pd.DataFrame, required: dict[str, str]) -> pd.DataFrame:
    """`stays` with hours and ages in float32. required: its columns that are never null → where they come from.

    Raises InputError for no stay, a null in a required column, or a stay that occurs twice.
    """
    if stays.empty:
        raise InputError(
            f"{raw}: no ICU stay has its patient and its admission in PATIENTS and ADMISSIONS"
        )
    for column, name in required.items():
        if missing := stays[column].isna().sum():
            raise InputError(f"{raw}: {name}: {missing} values are missing")
    if not stays["stay_id"].is_unique:
        raise InputError(
            f"{raw}: {stays['stay_id'].duplicated().sum()} ICU stays occur more than once: ids in ICUSTAYS, PATIENTS, ADMISSIONS must be unique"
        )
    return stays.astype(
        dict.fromkeys(("age", "admit_hour", "discharge_hour", "out_hour", "death_hour"), "float32")
    )


def with_events(stay_tables: dict[str, Table], chart: dict[str, str]) -> dict[str, Table]:
    """All that is read: the tables of the stays, CHARTEVENTS and LABEVENTS. chart: columns of CHARTEVENTS beside EVENT_COLUMNS."""
    items = [i for m in MEASUREMENTS for i in m.items]
    keep = {
        table: ("itemid", tuple(n for i in items if i.table == table for n in i.itemids))
        for table in ("chartevents", "labevents")
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
    *,
    stays: str,
    charts: str,
) -> Iterator[pa.RecordBatch]:
    """Batches of tables.EVENTS. tables: those of with_events; stays and charts as in events_query."""
    with open_raw(raw, tables) as database:
        yield from database.events(events_query(window_hours, measurements, stays, charts))


def events_query(
    window_hours: int, measurements: tuple[Measurement, ...], stays: str, charts: str
) -> str:
    """For Database.events. stays: a common table expression of that name with stay_id, subject_id, hadm_id and intime; charts: SELECT of the
    columns of `charted` from CHARTEVENTS."""
    # No item id stands for one thing in CHARTEVENTS and another in LABEVENTS: ids alone tell the items apart.
    rows = ", ".join(
        f"({itemid}, {RANKS[m.name]}, {_double(i.above)}, {_double(i.below if i.below_counts else nextafter(i.below, 0))}, {i.fahrenheit})"
        for m in measurements
        for i in m.items
        for itemid in i.itemids
    )
    return EVENTS_QUERY.format(stays=stays, charts=charts, items=rows, window_hours=window_hours)


def _double(value: float) -> str:
    """As text: of a number with a point DuckDB makes a decimal first, which has not all digits of a double."""
    return f"CAST('{value}' AS DOUBLE PRECISION)"
