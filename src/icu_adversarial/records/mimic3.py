"""MIMIC-III: its raw tables, wherever they live → stays and events, in one query each."""

from pathlib import Path

from icu_adversarial.measurements import Measurement
from icu_adversarial.records.database import open_raw
from icu_adversarial.records.mimic import ADMISSIONS, HOURS, checked, events, with_events
from icu_adversarial.records.sources import Records
from icu_adversarial.records.views import Table

STAY_TABLES = {
    "patients": Table({"subject_id": "BIGINT", "gender": "VARCHAR", "dob": "TIMESTAMP"}),
    "admissions": ADMISSIONS,
    "icustays": Table(
        dict.fromkeys(("subject_id", "hadm_id", "icustay_id"), "BIGINT")
        | {
            "dbsource": "VARCHAR",
            "first_careunit": "VARCHAR",
            "intime": "TIMESTAMP",
            "outtime": "TIMESTAMP",
        }
    ),
}
TABLES = with_events(STAY_TABLES, {"icustay_id": "BIGINT", "error": "INTEGER"})
REQUIRED = {
    "stay_id": "ICUSTAYS.icustay_id",
    "source_group": "ICUSTAYS.dbsource",
    "died": "ADMISSIONS.hospital_expire_flag",
}

# Materialised: the three small tables are joined once, not with every event.
STAYS = """
stays AS MATERIALIZED (
  SELECT s.icustay_id AS stay_id, s.subject_id, s.hadm_id, s.dbsource, s.first_careunit, s.intime, s.outtime,
         p.gender, p.dob, a.admittime, a.dischtime, a.deathtime, a.hospital_expire_flag
  FROM icustays s JOIN patients p ON p.subject_id = s.subject_id JOIN admissions a ON a.hadm_id = s.hadm_id
)
"""
# MIMIC-III stores ages above 89 as about 300 years; a year is 365.2425 days.
STAYS_QUERY = f"""
WITH {STAYS}, aged AS (SELECT *, CAST(EXTRACT(EPOCH FROM (intime - dob)) AS DOUBLE PRECISION) / 31556952.0 AS years FROM stays)
SELECT stay_id, subject_id, hadm_id, CAST(ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY intime, stay_id) AS SMALLINT) AS subject_order,
       dbsource AS source_group, CASE WHEN years > 89 THEN 90 ELSE years END AS age, gender AS sex,
       first_careunit AS icu_type, {HOURS.format("admittime")} AS admit_hour, {HOURS.format("dischtime")} AS discharge_hour,
       {HOURS.format("outtime")} AS out_hour, {HOURS.format("deathtime")} AS death_hour, hospital_expire_flag = 1 AS died
FROM aged ORDER BY stay_id
"""
CHARTS = "SELECT subject_id, hadm_id, icustay_id, itemid, charttime, valuenum FROM chartevents WHERE error IS DISTINCT FROM 1"


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read MIMIC-III from `raw`, one of the places of database.open_raw.

    Raises InputError for what open_raw refuses, for an id that is not unique, and for a missing id, group or outcome.
    """
    with open_raw(raw, STAY_TABLES) as database:
        stays = checked(raw, database.frame(STAYS_QUERY), REQUIRED)
    return Records(
        stays, events(raw, window_hours, measurements, TABLES, stays=STAYS, charts=CHARTS)
    )
