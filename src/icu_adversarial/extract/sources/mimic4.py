"""MIMIC-IV, versions 2 and 3: the tables of its modules hosp and icu → stays and events.

Item ids and units are those of MIMIC-III, without CareVue: the labevents of each item have one
unit, and no row is marked as an error.
"""

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
        {
            "subject_id": "BIGINT",
            "gender": "VARCHAR",
            "anchor_age": "INTEGER",
            "anchor_year": "INTEGER",
            "anchor_year_group": "VARCHAR",
            "dod": "TIMESTAMP",
        }
    ),
    "admissions": ADMISSIONS,
    "icustays": Table(
        dict.fromkeys(("subject_id", "hadm_id", "stay_id"), "BIGINT")
        | {"first_careunit": "VARCHAR", "intime": "TIMESTAMP", "outtime": "TIMESTAMP"}
    ),
}
REQUIRED = {"stay_id": "ICUSTAYS.stay_id", "source_group": "PATIENTS.anchor_year_group"}
STAYS = stays_sql("stay_id", "p.anchor_age, p.anchor_year, p.anchor_year_group", REASONS)
# Ages are whole years in the anchor year. 91 means over 89, also in any other year. DOD has the
# deaths of a year after the last discharge of a patient (mimic.mit.edu, the patients table).
STAYS_QUERY = stays_query(
    STAYS,
    source_group="anchor_year_group",
    years="anchor_age + EXTRACT(YEAR FROM intime) - anchor_year",
    over_89="anchor_age > 89 OR years > 89",
    followed_days="CAST(last_dischtime AS DATE) + 365 - CAST(intime AS DATE)",
)
COLUMNS = {
    "chartevents": EVENT_COLUMNS | {"stay_id": "BIGINT"},
    "labevents": EVENT_COLUMNS,
    "outputevents": OUTPUT_COLUMNS | {"stay_id": "BIGINT"},
}
CHARTED = {
    "chartevents": """
SELECT 'chartevents', subject_id, hadm_id, stay_id, itemid, charttime, valuenum, valueuom, FALSE
FROM chartevents""",
    "labevents": LABS.format(time="charttime"),
    "outputevents": """
SELECT 'outputevents', subject_id, hadm_id, stay_id, itemid, charttime, value, valueuom, FALSE
FROM outputevents""",
}
# What differs if laboratory results count from the time when they were stored.
STORED_COLUMNS = {"labevents": EVENT_COLUMNS | {"storetime": "TIMESTAMP"}}
STORED_CHARTED = {"labevents": LABS.format(time="storetime")}


def tables(measurements: Sequence[Measurement], stored: bool = False) -> dict[str, Table]:
    """All tables that are read, and their columns."""
    return STAY_TABLES | event_tables(measurements, COLUMNS | (STORED_COLUMNS if stored else {}))


def read(
    raw: Path, window_hours: int, measurements: tuple[Measurement, ...], stored: bool = False
) -> Records:
    """Read MIMIC-IV from `raw`, one of the places of database.open_raw.

    source_group is the anchor_year_group, the three real years around a subject's record: the group
    of a subject, never of single stays, so that a held-out group is a later time and shares no
    subject. Labels and hours of death are as in mimic3.read.

    Args:
        raw: Place of the tables; see open_raw.
        window_hours: Length of the observation window.
        measurements: What to read.
        stored: Whether a laboratory result counts from LABEVENTS.storetime, not from charttime.

    Returns:
        Stays, events, the account of all rows, and stays excluded at source.

    Raises:
        InputError: What open_raw refuses, an id that is not unique, a missing id, group or outcome.
    """
    with open_raw(raw, STAY_TABLES) as database:
        stays, excluded = checked(raw, database.frame(STAYS_QUERY), REQUIRED)
    account = Account([m.name for m in measurements])
    batches = events(
        raw,
        window_hours,
        measurements,
        tables(measurements, stored),
        account,
        stays=STAYS,
        charted=CHARTED | (STORED_CHARTED if stored else {}),
    )
    return Records(stays, batches, account, excluded)
