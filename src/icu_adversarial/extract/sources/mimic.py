"""What MIMIC-III and MIMIC-IV share: which events belong to a stay, and what is refused."""

from collections.abc import Iterator
from math import nextafter
from pathlib import Path

import pandas as pd
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.database import RANKS, open_raw
from icu_adversarial.extract.storage.views import Table
from icu_adversarial.measurements import MEASUREMENTS, Items, Measurement

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
EVENT_COLUMNS = {
    "subject_id": "BIGINT",
    "hadm_id": "BIGINT",
    "itemid": "INTEGER",
    "charttime": "TIMESTAMP",
    "valuenum": "DOUBLE PRECISION",
}
# PostgreSQL extracts a numeric, DuckDB a double.
HOURS = "CAST(EXTRACT(EPOCH FROM ({} - intime)) AS DOUBLE PRECISION) / 3600.0"
# ICU stays with their patient and admission, `columns` of these beside those that both versions
# share. left_out: why the source leaves a stay out, the first reason that holds. A stay belongs to
# one admission: where ADMISSIONS names another patient or begins after the ICU stay has ended, one
# of the two is wrong. subject_order counts all ICU stays, also those that are left out.
# died_at: a death at 00:00 is known to the day. It is placed at the discharge of that day, else at
# the day's end, so that nobody dies before the measurements of the day of death.
# Materialised: the three small tables are joined once, not with every event.
STAYS = """
dated AS (
  SELECT *, CASE WHEN deathtime <> DATE_TRUNC('day', deathtime) THEN deathtime
                 WHEN dischtime > deathtime AND dischtime < deathtime + INTERVAL '1 day'
                 THEN dischtime ELSE deathtime + INTERVAL '1 day' END AS died_at
  FROM admissions
), deaths AS (
  SELECT subject_id, MIN(died_at) AS first_death FROM dated GROUP BY subject_id
), all_stays AS MATERIALIZED (
  SELECT s.{stay_id} AS stay_id, s.subject_id, s.hadm_id, s.first_careunit, s.intime, s.outtime,
         {columns}, p.gender, a.admittime, a.dischtime, a.deathtime, a.hospital_expire_flag,
         CASE WHEN d.first_death < s.intime THEN d.first_death ELSE a.died_at END AS died_at,
         ROW_NUMBER() OVER (PARTITION BY s.subject_id ORDER BY s.intime, s.{stay_id})
           AS subject_order,
         CASE WHEN p.subject_id IS NULL OR a.hadm_id IS NULL THEN '{unknown}'
              WHEN a.subject_id IS DISTINCT FROM s.subject_id OR a.admittime > COALESCE(s.outtime, s.intime + INTERVAL '1 day')
              THEN '{contradictory}'
              WHEN s.intime IS NULL THEN '{undated}' END AS left_out
  FROM icustays s LEFT JOIN patients p ON p.subject_id = s.subject_id
  LEFT JOIN dated a ON a.hadm_id = s.hadm_id
  LEFT JOIN deaths d ON d.subject_id = s.subject_id
), stays AS (SELECT * FROM all_stays WHERE left_out IS NULL)
"""
REASONS = {
    "unknown": "admission and patient known",
    "contradictory": "admission of the same patient and time",
    "undated": "time of ICU admission known",
}
# The flag is the label. A row contradicts itself where a survivor dies before the discharge, or where
# a death in the hospital comes two days or more after it: the outcome is unknown. (In the demo one
# death in the hospital is dated a day after the discharge.)
STAYS_QUERY = """
WITH {stays}, aged AS (SELECT *, {years} AS years FROM all_stays)
SELECT stay_id, subject_id, hadm_id, CAST(subject_order AS SMALLINT) AS subject_order,
       {source_group} AS source_group,
       CAST(CASE WHEN {over_89} THEN 90 ELSE years END AS DOUBLE PRECISION) AS age, gender AS sex,
       first_careunit AS icu_type, {admit_hour} AS admit_hour, {discharge_hour} AS discharge_hour,
       {out_hour} AS out_hour, {death_hour} AS death_hour,
       CASE WHEN hospital_expire_flag IN (0, 1) THEN hospital_expire_flag END AS flag,
       CASE WHEN hospital_expire_flag = 1 AND deathtime >= dischtime + INTERVAL '2 days' THEN NULL
            WHEN hospital_expire_flag = 1 THEN TRUE
            WHEN deathtime IS NULL OR deathtime > dischtime THEN FALSE END AS died, left_out
FROM aged ORDER BY stay_id
"""
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


def stays_sql(stay_id: str, columns: str) -> str:
    """Common table expressions that end with `stays`, those that the source gives.

    Args:
        stay_id: The column of ICUSTAYS with the id of a stay.
        columns: Further columns, of s (ICUSTAYS) or p (PATIENTS).
    """
    return STAYS.format(stay_id=stay_id, columns=columns, **REASONS).strip()


def stays_query(stays: str, *, source_group: str, years: str, over_89: str) -> str:
    """SELECT of all stays, also those that are left out.

    Args:
        stays: What `stays_sql` gave.
        source_group: SQL of the group.
        years: SQL of the age in years at ICU admission.
        over_89: SQL of a condition on `years`: the age is stored as 90.
    """
    times = {
        "admit_hour": "admittime",
        "discharge_hour": "dischtime",
        "out_hour": "outtime",
        "death_hour": "died_at",
    }
    return STAYS_QUERY.format(
        stays=stays,
        source_group=source_group,
        years=years,
        over_89=over_89,
        **{hour: HOURS.format(time) for hour, time in times.items()},
    )


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

    chart: columns of CHARTEVENTS in addition to EVENT_COLUMNS.
    """
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
    """For Database.events.

    stays: common table expressions, the last of them `stays` with stay_id, subject_id, hadm_id and
    intime; charts: SELECT of the columns of `charted` from CHARTEVENTS.
    """
    # No item id means one thing in CHARTEVENTS and another in LABEVENTS: ids tell the items apart.
    rows = ", ".join(
        f"({itemid}, {RANKS[m.name]}, {_double(i.above)}, {_double(_at_most(i))}, {i.fahrenheit})"
        for m in measurements
        for i in m.items
        for itemid in i.itemids
    )
    return EVENTS_QUERY.format(stays=stays, charts=charts, items=rows, window_hours=window_hours)


def _at_most(items: Items) -> float:
    """The largest value that counts."""
    return items.below if items.below_counts else nextafter(items.below, 0)


def _double(value: float) -> str:
    """As text, since DuckDB makes a decimal of a number with a point, which lacks digits."""
    return f"CAST('{value}' AS DOUBLE PRECISION)"
