"""MIMIC-IV, versions 2 and 3: the tables of its modules hosp and icu, wherever they live → stays and events.

Item ids and units are those of MIMIC-III, without CareVue: the labevents of each item have one unit, and no row is marked as an error.
"""

from pathlib import Path

from icu_adversarial.measurements import Measurement
from icu_adversarial.records.database import open_raw
from icu_adversarial.records.mimic import ADMISSIONS, HOURS, checked, events, with_events
from icu_adversarial.records.sources import Records
from icu_adversarial.records.views import Table

STAY_TABLES = {
    "patients": Table(
        {
            "subject_id": "BIGINT",
            "gender": "VARCHAR",
            "anchor_age": "INTEGER",
            "anchor_year": "INTEGER",
            "anchor_year_group": "VARCHAR",
        }
    ),
    "admissions": ADMISSIONS,
    "icustays": Table(
        dict.fromkeys(("subject_id", "hadm_id", "stay_id"), "BIGINT")
        | {"first_careunit": "VARCHAR", "intime": "TIMESTAMP", "outtime": "TIMESTAMP"}
    ),
}
TABLES = with_events(STAY_TABLES, {"stay_id": "BIGINT"})
REQUIRED = {
    "stay_id": "ICUSTAYS.stay_id",
    "source_group": "PATIENTS.anchor_year_group",
    "died": "ADMISSIONS.hospital_expire_flag",
}

# Materialised: the three small tables are joined once, not with every event.
STAYS = """
stays AS MATERIALIZED (
  SELECT s.stay_id, s.subject_id, s.hadm_id, s.first_careunit, s.intime, s.outtime, p.gender, p.anchor_age, p.anchor_year, p.anchor_year_group,
         a.admittime, a.dischtime, a.deathtime, a.hospital_expire_flag
  FROM icustays s JOIN patients p ON p.subject_id = s.subject_id JOIN admissions a ON a.hadm_id = s.hadm_id
)
"""
# Ages are whole years in the anchor year; 91 stands for all above 89, whose age in another year is not told either.
STAYS_QUERY = f"""
WITH {STAYS}, aged AS (SELECT *, anchor_age + EXTRACT(YEAR FROM intime) - anchor_year AS years FROM stays)
SELECT stay_id, subject_id, hadm_id,
       CAST(ROW_NUMBER() OVER (PARTITION BY subject_id ORDER BY intime, stay_id) AS SMALLINT) AS subject_order,
       anchor_year_group AS source_group,
       CAST(CASE WHEN anchor_age > 89 OR years > 89 THEN 90 ELSE years END AS DOUBLE PRECISION) AS age, gender AS sex, first_careunit AS icu_type,
       {HOURS.format("admittime")} AS admit_hour, {HOURS.format("dischtime")} AS discharge_hour,
       {HOURS.format("outtime")} AS out_hour, {HOURS.format("deathtime")} AS death_hour, hospital_expire_flag = 1 AS died
FROM aged ORDER BY stay_id
"""
CHARTS = "SELECT subject_id, hadm_id, stay_id, itemid, charttime, valuenum FROM chartevents"


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read MIMIC-IV from `raw`, one of the places of database.open_raw.

    source_group is the anchor_year_group, the three real years around a subject's record: the group of a subject, never of single stays, so that
    a held-out group is a later time and shares no subject. Raises InputError for what open_raw refuses, for an id that is not unique, and for a
    missing id, group or outcome.
    """
    with open_raw(raw, STAY_TABLES) as database:
        stays = checked(raw, database.frame(STAYS_QUERY), REQUIRED)
    return Records(
        stays, events(raw, window_hours, measurements, TABLES, stays=STAYS, charts=CHARTS)
    )
