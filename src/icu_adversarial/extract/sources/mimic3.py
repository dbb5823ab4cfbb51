"""MIMIC-III: its raw tables, wherever they live → stays and events, in one query each."""

from collections.abc import Sequence
from pathlib import Path

from icu_adversarial.extract.account import Account
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.sources.mimic import (
    ADMISSIONS,
    EVENT_COLUMNS,
    OUTPUT_COLUMNS,
    REASONS,
    checked,
    event_tables,
    events,
)
from icu_adversarial.extract.sources.mimic_sql import LABS
from icu_adversarial.extract.sources.mimic_stays import stays_query, stays_sql
from icu_adversarial.extract.storage.database import open_raw
from icu_adversarial.extract.storage.views import Table
from icu_adversarial.measurements import Measurement

STAY_TABLES = {
    "patients": Table(
        {"subject_id": "BIGINT", "gender": "VARCHAR", "dob": "TIMESTAMP", "dod": "TIMESTAMP"}
    ),
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
REQUIRED = {"stay_id": "ICUSTAYS.icustay_id", "source_group": "ICUSTAYS.dbsource"}
STAYS = stays_sql("icustay_id", "s.dbsource, p.dob", REASONS)
# MIMIC-III stores ages above 89 as about 300 years; a year is 365.2425 days. It has the deaths of
# at least 90 days after each ICU admission (its authors in MIT-LCP/mimic-code, issues 647 and 736).
STAYS_QUERY = stays_query(
    STAYS,
    source_group="dbsource",
    years="CAST(EXTRACT(EPOCH FROM (intime - dob)) AS DOUBLE PRECISION) / 31556952.0",
    over_89="years > 89",
    followed_days="90",
)
COLUMNS = {
    "chartevents": EVENT_COLUMNS | {"icustay_id": "BIGINT", "error": "INTEGER"},
    "labevents": EVENT_COLUMNS,
    "outputevents": OUTPUT_COLUMNS | {"icustay_id": "BIGINT", "iserror": "INTEGER"},
}
CHARTED = {
    "chartevents": """
SELECT 'chartevents', subject_id, hadm_id, icustay_id, itemid, charttime, valuenum, valueuom,
       error IS NOT DISTINCT FROM 1
FROM chartevents""",
    "labevents": LABS.format(time="charttime"),
    "outputevents": """
SELECT 'outputevents', subject_id, hadm_id, icustay_id, itemid, charttime, value, valueuom,
       iserror IS NOT DISTINCT FROM 1
FROM outputevents""",
}


def tables(measurements: Sequence[Measurement]) -> dict[str, Table]:
    """All tables that are read, and their columns."""
    return STAY_TABLES | event_tables(measurements, COLUMNS)


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read MIMIC-III from `raw`, one of the places of database.open_raw.

    Death in the hospital is ADMISSIONS.hospital_expire_flag, and the hour of death is from
    ADMISSIONS.deathtime (mimic_stays.STAYS). PATIENTS.dod is a date, and may be after the
    discharge. Only the day of death is taken from it.

    Raises:
        InputError: What open_raw refuses, an id that is not unique, a missing id, group or outcome.
    """
    with open_raw(raw, STAY_TABLES) as database:
        stays, excluded = checked(raw, database.frame(STAYS_QUERY), REQUIRED)
    account = Account([m.name for m in measurements])
    batches = events(
        raw, window_hours, measurements, tables(measurements), account, stays=STAYS, charted=CHARTED
    )
    return Records(stays, batches, account, excluded)
