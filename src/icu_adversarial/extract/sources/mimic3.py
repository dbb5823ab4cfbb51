"""MIMIC-III: its raw tables, wherever they live → stays and events, in one query each."""

from pathlib import Path

from icu_adversarial.extract.account import Account
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.sources.mimic import (
    ADMISSIONS,
    REASONS,
    checked,
    events,
    with_events,
)
from icu_adversarial.extract.sources.mimic_sql import stays_query, stays_sql
from icu_adversarial.extract.storage.database import open_raw
from icu_adversarial.extract.storage.views import Table
from icu_adversarial.measurements import Measurement

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
REQUIRED = {"stay_id": "ICUSTAYS.icustay_id", "source_group": "ICUSTAYS.dbsource"}
STAYS = stays_sql("icustay_id", "s.dbsource, p.dob", REASONS)
# MIMIC-III stores ages above 89 as about 300 years; a year is 365.2425 days.
STAYS_QUERY = stays_query(
    STAYS,
    source_group="dbsource",
    years="CAST(EXTRACT(EPOCH FROM (intime - dob)) AS DOUBLE PRECISION) / 31556952.0",
    over_89="years > 89",
)
CHARTS = """
SELECT 'chartevents', subject_id, hadm_id, icustay_id, itemid, charttime, valuenum, valueuom,
       error IS NOT DISTINCT FROM 1
FROM chartevents
"""


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read MIMIC-III from `raw`, one of the places of database.open_raw.

    The label is ADMISSIONS.hospital_expire_flag, and the hour of death is from ADMISSIONS.deathtime
    (mimic.STAYS). PATIENTS.dod is not read: it is a date and includes deaths after the discharge.

    Raises:
        InputError: What open_raw refuses, an id that is not unique, a missing id, group or outcome.
    """
    with open_raw(raw, STAY_TABLES) as database:
        stays, excluded = checked(raw, database.frame(STAYS_QUERY), REQUIRED)
    account = Account()
    batches = events(raw, window_hours, measurements, TABLES, account, stays=STAYS, charts=CHARTS)
    return Records(stays, batches, account, excluded)
