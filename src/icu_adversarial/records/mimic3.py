"""MIMIC-III: its raw tables, wherever they live → stays and events, in one query each."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import Measurement
from icu_adversarial.records.database import RANKS, open_raw
from icu_adversarial.records.sources import Records
from icu_adversarial.records.views import Table

STAY_TABLES = {
    "patients": Table({"subject_id": "BIGINT", "gender": "VARCHAR", "dob": "TIMESTAMP"}),
    "admissions": Table(
        {"hadm_id": "BIGINT", "admittime": "TIMESTAMP", "dischtime": "TIMESTAMP", "deathtime": "TIMESTAMP", "hospital_expire_flag": "INTEGER"}
    ),
    "icustays": Table(
        {
            "subject_id": "BIGINT",
            "hadm_id": "BIGINT",
            "icustay_id": "BIGINT",
            "dbsource": "VARCHAR",
            "first_careunit": "VARCHAR",
            "intime": "TIMESTAMP",
            "outtime": "TIMESTAMP",
        }
    ),
}
LAB_COLUMNS = {"subject_id": "BIGINT", "hadm_id": "BIGINT", "itemid": "INTEGER", "charttime": "TIMESTAMP", "valuenum": "DOUBLE PRECISION"}
CHART_COLUMNS = LAB_COLUMNS | {"icustay_id": "BIGINT", "error": "INTEGER"}
REQUIRED = {"stay_id": "ICUSTAYS.icustay_id", "source_group": "ICUSTAYS.dbsource", "died": "ADMISSIONS.hospital_expire_flag"}

STAYS = """
stays AS (
  SELECT s.icustay_id AS stay_id, s.subject_id, s.hadm_id, s.dbsource, s.first_careunit, s.intime, s.outtime,
         p.gender, p.dob, a.admittime, a.dischtime, a.deathtime, a.hospital_expire_flag
  FROM icustays s JOIN patients p ON p.subject_id = s.subject_id JOIN admissions a ON a.hadm_id = s.hadm_id
)
"""
HOURS = "CAST(EXTRACT(EPOCH FROM ({} - intime)) AS DOUBLE PRECISION) / 3600.0"  # PostgreSQL extracts a numeric, DuckDB a double
# MIMIC-III stores ages above 89 as about 300 years; a year is 365.2425 days.
STAYS_QUERY = f"""
WITH {STAYS}, aged AS (SELECT *, CAST(EXTRACT(EPOCH FROM (intime - dob)) AS DOUBLE PRECISION) / 31556952.0 AS years FROM stays)
SELECT stay_id, subject_id, hadm_id, CAST(ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY intime, stay_id) AS SMALLINT) AS subject_order,
       dbsource AS source_group, CASE WHEN years > 89 THEN 90 ELSE years END AS age, gender AS sex,
       first_careunit AS icu_type, {HOURS.format("admittime")} AS admit_hour, {HOURS.format("dischtime")} AS discharge_hour,
       {HOURS.format("outtime")} AS out_hour, {HOURS.format("deathtime")} AS death_hour, hospital_expire_flag = 1 AS died
FROM aged ORDER BY stay_id
"""
# An event belongs to every stay of its subject whose window contains its time, unless it names another admission or ICU stay.
# The hour is rounded to float32 before it is compared with the window's end.
EVENTS_QUERY = f"""
WITH {STAYS}, items(itemid, rank, above, below, below_counts, fahrenheit) AS (VALUES {{items}}), charted AS (
  SELECT subject_id, hadm_id, icustay_id, itemid, charttime, valuenum FROM chartevents WHERE error IS DISTINCT FROM 1
  UNION ALL
  SELECT subject_id, hadm_id, NULL, itemid, charttime, valuenum FROM labevents
), events AS (
  SELECT s.stay_id, CAST({HOURS.format("e.charttime")} AS REAL) AS hour, i.rank,
         CASE WHEN i.fahrenheit THEN (e.valuenum - 32) / 1.8 ELSE e.valuenum END AS value
  FROM charted e JOIN items i ON i.itemid = e.itemid JOIN stays s ON s.subject_id = e.subject_id
  WHERE e.charttime >= s.intime AND e.charttime < s.intime + INTERVAL '{{window_hours}} hours'
    AND (e.hadm_id IS NULL OR e.hadm_id = s.hadm_id) AND (e.icustay_id IS NULL OR e.icustay_id = s.stay_id)
    AND e.valuenum > i.above AND (e.valuenum < i.below OR (i.below_counts AND e.valuenum = i.below))
)
SELECT stay_id, hour, rank, value FROM events WHERE hour < {{window_hours}} ORDER BY stay_id, hour, rank, value
"""


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read MIMIC-III from `raw`, one of the places of database.open_raw.

    Raises InputError for what open_raw refuses, for an id that is not unique, and for a missing id, group or outcome.
    """
    with open_raw(raw, STAY_TABLES) as database:
        stays = database.frame(STAYS_QUERY)
    if stays.empty:
        raise InputError(f"{raw}: no ICU stay has its patient and its admission in PATIENTS and ADMISSIONS")
    for column, name in REQUIRED.items():
        if missing := stays[column].isna().sum():
            raise InputError(f"{raw}: {name}: {missing} values are missing")
    if not stays["stay_id"].is_unique:
        raise InputError(
            f"{raw}: {stays['stay_id'].duplicated().sum()} ICU stays occur more than once: ids in ICUSTAYS, PATIENTS, ADMISSIONS must be unique"
        )
    hours = ("age", "admit_hour", "discharge_hour", "out_hour", "death_hour")
    return Records(stays.astype(dict.fromkeys(hours, "float32")), _events(raw, window_hours, measurements))


def _events(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Iterator[pa.RecordBatch]:
    # No item id stands for one thing in CHARTEVENTS and another in LABEVENTS: ids alone tell the items apart.
    items = [(itemid, m.name, i) for m in measurements for i in m.items for itemid in i.itemids]
    keep = {table: ("itemid", tuple(itemid for itemid, _, i in items if i.table == table)) for table in ("chartevents", "labevents")}
    tables = STAY_TABLES | {"chartevents": Table(CHART_COLUMNS, keep["chartevents"]), "labevents": Table(LAB_COLUMNS, keep["labevents"])}
    rows = ", ".join(
        f"({itemid}, {RANKS[name]}, CAST({i.above} AS DOUBLE PRECISION), CAST({i.below} AS DOUBLE PRECISION), {i.below_counts}, {i.fahrenheit})"
        for itemid, name, i in items
    )
    with open_raw(raw, tables) as database:
        yield from database.events(EVENTS_QUERY.format(items=rows, window_hours=window_hours))
