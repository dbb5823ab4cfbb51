"""eICU-CRD 2.0: its raw tables in files or a database → stays and events.

Times are minutes from the admission to the unit. registry.py calls this reader.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.account import (
    IMPLAUSIBLE,
    MONITORED,
    NO_NUMBER,
    NO_STAY,
    NO_TIME,
    OUTSIDE,
    REVISED,
    UNIT,
    Account,
)
from icu_adversarial.extract.events import to_events
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.sources.eicu_outcomes import death_minute, outcome
from icu_adversarial.extract.sources.eicu_sql import (
    COUNTS_QUERY,
    EVENTS_QUERY,
    STAYS_QUERY,
    fill,
    names_by_table,
    table_of_codes,
)
from icu_adversarial.extract.storage.database import open_raw
from icu_adversarial.extract.storage.views import Table
from icu_adversarial.measurements import Measurement

STAY = {"patientunitstayid": "BIGINT"}
MONITOR = STAY | {"observationoffset": "BIGINT"}
LAB = STAY | {
    "labresultoffset": "BIGINT",
    "labname": "VARCHAR",
    "labresult": "DOUBLE PRECISION",
    "labmeasurenameinterface": "VARCHAR",
}
NURSE = STAY | {
    "nursingchartoffset": "BIGINT",
    "nursingchartcelltypevalname": "VARCHAR",
    "nursingchartvalue": "VARCHAR",
}
BREATHING = STAY | {"respchartoffset": "BIGINT"}
BREATHING |= dict.fromkeys(("respchartvaluelabel", "respchartvalue"), "VARCHAR")
FLUIDS = STAY | {"intakeoutputoffset": "BIGINT", "celllabel": "VARCHAR"}
FLUIDS |= {"cellvaluenumeric": "DOUBLE PRECISION"}
PATIENT_NUMBERS = (
    "patienthealthsystemstayid",
    "hospitalid",
    "hospitaldischargeyear",
    "unitvisitnumber",
    "hospitaladmitoffset",
    "hospitaldischargeoffset",
    "unitdischargeoffset",
)
PATIENT_TEXTS = (
    "uniquepid",
    "gender",
    "age",
    "hospitaldischargestatus",
    "unitdischargestatus",
    "unittype",
    "unitstaytype",
)
PATIENT = {
    "patient": Table(
        STAY | dict.fromkeys(PATIENT_NUMBERS, "BIGINT") | dict.fromkeys(PATIENT_TEXTS, "VARCHAR")
    )
}
# The tables that name a measurement in a column, and those that have a column for each.
NAMED = {
    "lab": (LAB | {"labresultrevisedoffset": "BIGINT"}, "labname"),
    "nursecharting": (NURSE, "nursingchartcelltypevalname"),
    "respiratorycharting": (BREATHING, "respchartvaluelabel"),
    "intakeoutput": (FLUIDS, "celllabel"),
}
MONITORS = ("vitalperiodic", "vitalaperiodic")
SEXES = {"Female": "F", "Male": "M"}
ICU, STEP_DOWN = ("admit", "readmit", "transfer"), "stepdown/other"  # of unitstaytype
OLDEST = 120  # years: a larger age is an error


def tables(measurements: Sequence[Measurement]) -> dict[str, Table]:
    """All tables that are read, and their columns."""
    found = dict(PATIENT)
    for table, names in names_by_table(measurements).items():
        if table in MONITORS:
            found[table] = Table(MONITOR | dict.fromkeys(names, "DOUBLE PRECISION"))
        else:
            columns, name = NAMED[table]
            found[table] = Table(columns, keep=(name, names))
    return found


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read PATIENT and the tables that have a chosen measurement.

    A subject is a uniquepid, numbered from 1 in their order; source_group is hospital-ID. Ages
    over 89 are 90. eICU does not date a subject's hospital stays, so subject_order is by year of
    discharge, number of the hospital stay, and ICU visit.

    died is described in eicu_outcomes.outcome. Death comes with the end of the unit stay that says
    Expired, else with the discharge from the hospital. It is before hour 0 of a stay that begins
    after it.
    Stays in step-down units, and those of an unknown unitstaytype, are no ICU stays: they are
    counted in `excluded`. A hospital admission after the unit admission is an error of the record,
    so that admit_hour is never above 0.

    Args:
        raw: Place of the tables; see open_raw.
        window_hours: Length of the observation window.
        measurements: What to read.

    Returns:
        Stays, events, the account of all rows, and stays excluded at source.

    Raises:
        InputError: A missing place, table, column or id, a value of the wrong type, ids that are
            not unique, or no ICU stay.
    """
    with open_raw(raw, PATIENT) as database:
        patient = database.frame(STAYS_QUERY)
    _check(raw, patient)
    kind = patient["unitstaytype"].fillna("").str.strip(" ").str.lower()
    in_icu = kind.isin(ICU)
    counts = {
        "step-down units": int((kind == STEP_DOWN).sum()),
        "units of an unknown kind": int((~in_icu & (kind != STEP_DOWN)).sum()),
    }
    if not in_icu.any():
        raise InputError(
            f"{raw}: PATIENT.unitstaytype: none of {len(patient)} values is {', '.join(ICU)}: "
            "there is no ICU stay"
        )
    patient = patient.assign(died=outcome(patient), death=death_minute(patient))
    account = Account([m.name for m in measurements])
    return Records(
        _stays(patient[in_icu].reset_index(drop=True)),
        _events(raw, window_hours, measurements, account),
        account,
        {reason: count for reason, count in counts.items() if count},
    )


def _check(raw: Path, patient: pd.DataFrame) -> None:
    if patient.empty:
        raise InputError(f"{raw}: PATIENT has no rows")
    for column in ("patientunitstayid", "uniquepid", "hospitalid"):
        if missing := patient[column].isna().sum():
            raise InputError(f"{raw}: PATIENT.{column}: {missing} values are missing")
    if repeated := patient["patientunitstayid"].duplicated().sum():
        raise InputError(
            f"{raw}: PATIENT.patientunitstayid: {repeated} values occur more than once: "
            "they must be unique"
        )
    age = _age(patient)
    if wrong := ((patient["age"].fillna("").str.strip() != "") & ~age.between(0, OLDEST)).sum():
        raise InputError(
            f"{raw}: PATIENT.age: {wrong} values are neither from 0 to {OLDEST} nor > 89"
        )


def _age(patient: pd.DataFrame) -> pd.Series:
    text = patient["age"].fillna("").str.strip()
    return pd.to_numeric(text.mask(text == "> 89", "90"), errors="coerce")


def _stays(patient: pd.DataFrame) -> pd.DataFrame:
    """tables.STAYS of the rows of PATIENT that are ICU stays, with the columns died and death."""
    offsets = ["hospitaladmitoffset", "hospitaldischargeoffset", "unitdischargeoffset"]
    hours = patient[[*offsets, "death"]].astype("float64") / 60
    discharge = hours["hospitaldischargeoffset"]
    died = patient["died"]
    death = hours["death"].fillna(discharge).where(died.fillna(False) | (hours["death"] < 0))
    subject = np.unique(patient["uniquepid"].to_numpy(str), return_inverse=True)[1]
    in_order = patient.sort_values(
        [
            "hospitaldischargeyear",
            "patienthealthsystemstayid",
            "unitvisitnumber",
            "patientunitstayid",
        ]
    )
    return pd.DataFrame(
        {
            "stay_id": patient["patientunitstayid"],
            "subject_id": subject.astype("int64") + 1,
            "hadm_id": patient["patienthealthsystemstayid"].astype("Int64"),
            "subject_order": (in_order.groupby("uniquepid").cumcount() + 1).astype("int16"),
            "source_group": "hospital-" + patient["hospitalid"].astype(str),
            "age": _age(patient).clip(upper=90).astype("float32"),
            "sex": patient["gender"].map(SEXES),
            "icu_type": patient["unittype"],
            "admit_hour": hours["hospitaladmitoffset"].clip(upper=0).astype("float32"),
            "discharge_hour": discharge.astype("float32"),
            "out_hour": hours["unitdischargeoffset"].astype("float32"),
            "death_hour": death.astype("float32"),
            "died": died,
        }
    )


def _events(
    raw: Path, window_hours: int, measurements: tuple[Measurement, ...], account: Account
) -> Iterator[pa.RecordBatch]:
    """Batches of tables.EVENTS; `account` is complete when the last one is read."""
    with open_raw(raw, tables(measurements)) as database:
        counts = database.frame(fill(COUNTS_QUERY, window_hours, measurements, ICU))
        _count(counts, account)
        for table in NAMED.keys() & names_by_table(measurements):
            account.add_unmapped(table, database.rows(table))
        rows = database.batches(fill(EVENTS_QUERY, window_hours, measurements, ICU))
        yield from to_events(rows, table_of_codes(measurements), account)
    for m in measurements:  # the query of the events left out what a monitor has, without a count
        group = "nursecharting", m.name
        others = sum(count for key, count in account.rows.items() if key[:2] == group)
        account.add(*group, MONITORED, max(account.read[group] - others, 0))
    account.check(raw)


def _count(counts: pd.DataFrame, account: Account) -> None:
    """The rows read, and those left out by reason, from the result of COUNTS_QUERY."""
    names = sorted(account.names)
    for row in counts.itertuples(index=False):
        group = row.source, names[row.rank]
        account.add_read(*group, row.rows_read)
        account.add(*group, NO_STAY, row.no_stay)
        account.add(*group, NO_TIME, row.untimed)
        account.add(*group, OUTSIDE, row.rows_read - row.no_stay - row.untimed - row.in_window)
        account.add(*group, REVISED, row.revised)
        account.add(*group, NO_NUMBER, row.no_number)
        wrong = row.in_window - row.revised - row.no_number - row.fitting
        usual = pd.isna(row.unit)
        account.add(*group, IMPLAUSIBLE if usual else UNIT, wrong)
        if wrong and not usual:
            account.units[f"{row.name} in {row.unit}"] = wrong
