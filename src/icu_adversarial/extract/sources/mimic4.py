"""MIMIC-IV, versions 2 and 3: the tables of its modules hosp and icu → stays and events.

Item ids and units are those of MIMIC-III, without CareVue: the labevents of each item have one
unit, and no row is marked as an error.
"""

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
REQUIRED = {"stay_id": "ICUSTAYS.stay_id", "source_group": "PATIENTS.anchor_year_group"}
STAYS = stays_sql("stay_id", "p.anchor_age, p.anchor_year, p.anchor_year_group", REASONS)
# Ages are whole years in the anchor year. 91 means over 89, also in any other year.
STAYS_QUERY = stays_query(
    STAYS,
    source_group="anchor_year_group",
    years="anchor_age + EXTRACT(YEAR FROM intime) - anchor_year",
    over_89="anchor_age > 89 OR years > 89",
)
CHARTS = """
SELECT 'chartevents', subject_id, hadm_id, stay_id, itemid, charttime, valuenum, valueuom, FALSE
FROM chartevents
"""


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read MIMIC-IV from `raw`, one of the places of database.open_raw.

    source_group is the anchor_year_group, the three real years around a subject's record: the group
    of a subject, never of single stays, so that a held-out group is a later time and shares no
    subject. Labels and hours of death are as in mimic3.read.

    Raises:
        InputError: What open_raw refuses, an id that is not unique, a missing id, group or outcome.
    """
    with open_raw(raw, STAY_TABLES) as database:
        stays, excluded = checked(raw, database.frame(STAYS_QUERY), REQUIRED)
    account = Account()
    batches = events(raw, window_hours, measurements, TABLES, account, stays=STAYS, charts=CHARTS)
    return Records(stays, batches, account, excluded)
