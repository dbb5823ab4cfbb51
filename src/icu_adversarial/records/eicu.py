"""eICU-CRD 2.0: its raw tables in files or a database → stays and events. Times are minutes from the admission to the unit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import MEASUREMENTS, Items, Measurement
from icu_adversarial.records.database import RANKS, open_raw
from icu_adversarial.records.sources import Records, refuse_blood_gas
from icu_adversarial.records.views import Table, literal

NAMES = {  # of the labs, columns and charts that are read, by table
    table: tuple(
        sorted({name for m in MEASUREMENTS for i in m.eicu if i.table == table for name in i.names})
    )
    for table in ("lab", "vitalperiodic", "vitalaperiodic", "nursecharting")
}
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
TABLES = {
    "patient": Table(
        STAY
        | dict.fromkeys(
            ("patienthealthsystemstayid", "hospitalid", "hospitaldischargeyear", "unitvisitnumber"),
            "BIGINT",
        )
        | dict.fromkeys(
            ("hospitaladmitoffset", "hospitaldischargeoffset", "unitdischargeoffset"), "BIGINT"
        )
        | dict.fromkeys(
            ("uniquepid", "gender", "age", "hospitaldischargestatus", "unittype"), "VARCHAR"
        )
    ),
    "lab": Table(LAB | {"labresultrevisedoffset": "BIGINT"}, keep=("labname", NAMES["lab"])),
    "vitalperiodic": Table(MONITOR | dict.fromkeys(NAMES["vitalperiodic"], "DOUBLE PRECISION")),
    "vitalaperiodic": Table(MONITOR | dict.fromkeys(NAMES["vitalaperiodic"], "DOUBLE PRECISION")),
    "nursecharting": Table(NURSE, keep=("nursingchartcelltypevalname", NAMES["nursecharting"])),
}
SEXES = {"Female": "F", "Male": "M"}
OUTCOMES = {"Expired": True, "Alive": False}
STAYS_QUERY = "SELECT * FROM patient ORDER BY patientunitstayid"
# Of a laboratory result and its revisions, the last counts. A nurse's value counts in the hours that have none from a monitor: nurses also copy
# what the monitor shows. Both pressures count, from the arterial line (vitalPeriodic) and the cuff (vitalAperiodic), as in MIMIC.
# The order is total: the same bytes on every run.
EVENTS_QUERY = """
WITH items(source, name, unit, rank, above, below, below_counts, fahrenheit, factor) AS (VALUES {items}),
charted(source, patientunitstayid, minute, name, value, unit) AS (
  SELECT 'lab', patientunitstayid, labresultoffset, labname, labresult,
         CASE WHEN (labname, LOWER(labmeasurenameinterface)) IN ({units}) THEN LOWER(labmeasurenameinterface) END
  FROM (SELECT *, MAX(labresultrevisedoffset) OVER (PARTITION BY patientunitstayid, labname, labresultoffset) AS last_revision FROM lab) l
  WHERE labresultrevisedoffset IS NOT DISTINCT FROM last_revision
  UNION ALL
  SELECT 'vitalperiodic', patientunitstayid, observationoffset, c.name, {vitalperiodic}, NULL
  FROM vitalperiodic CROSS JOIN (SELECT DISTINCT name FROM items WHERE source = 'vitalperiodic') c
  UNION ALL
  SELECT 'vitalaperiodic', patientunitstayid, observationoffset, c.name, {vitalaperiodic}, NULL
  FROM vitalaperiodic CROSS JOIN (SELECT DISTINCT name FROM items WHERE source = 'vitalaperiodic') c
  UNION ALL
  SELECT 'nursecharting', patientunitstayid, nursingchartoffset, nursingchartcelltypevalname,
         CASE WHEN nursingchartvalue ~ '^-?[0-9]+([.][0-9]*)?$' THEN CAST(nursingchartvalue AS DOUBLE PRECISION) END, NULL
  FROM nursecharting
), counted AS (
  SELECT c.source, c.patientunitstayid AS stay_id, c.minute, i.rank,
         CASE WHEN i.fahrenheit THEN (c.value - 32) / 1.8 ELSE c.value * i.factor END AS value
  FROM charted c
  JOIN items i ON i.source = c.source AND i.name = c.name AND i.unit IS NOT DISTINCT FROM c.unit
  JOIN patient p ON p.patientunitstayid = c.patientunitstayid
  WHERE c.minute >= 0 AND c.minute < {minutes} AND c.value > i.above AND (c.value < i.below OR (i.below_counts AND c.value = i.below))
), monitored AS (
  SELECT DISTINCT stay_id, rank, minute - minute % 60 AS full_hour FROM counted WHERE source <> 'nursecharting'
), events AS (
  SELECT stay_id, minute, rank, value FROM counted WHERE source <> 'nursecharting'
  UNION ALL
  SELECT n.stay_id, n.minute, n.rank, n.value
  FROM counted n LEFT JOIN monitored m ON m.stay_id = n.stay_id AND m.rank = n.rank AND m.full_hour = n.minute - n.minute % 60
  WHERE n.source = 'nursecharting' AND m.stay_id IS NULL
)
SELECT stay_id, CAST(minute / CAST(60 AS DOUBLE PRECISION) AS REAL) AS hour, rank, value FROM events ORDER BY stay_id, hour, rank, value
"""


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read PATIENT, LAB, VITALPERIODIC, VITALAPERIODIC and NURSECHARTING in `raw` (see open_raw).

    A subject is a uniquepid, numbered from 1 in their order; source_group is hospital-ID. Ages over 89 are 90. died is null where the outcome is
    unknown. eICU does not date a subject's hospital stays; subject_order is by year of discharge, number of the hospital stay, and ICU visit.
    Raises InputError for a missing place, table, column or id, a value of the wrong type, or ids that are not unique.
    """
    refuse_blood_gas(measurements, "eICU does not tell which potassium is from blood gases")
    with open_raw(raw, {"patient": TABLES["patient"]}) as database:
        patient = database.frame(STAYS_QUERY)
    return Records(_stays(raw, patient), _events(raw, window_hours, measurements))


def _stays(raw: Path, patient: pd.DataFrame) -> pd.DataFrame:
    if patient.empty:
        raise InputError(f"{raw}: PATIENT has no rows")
    for column in ("patientunitstayid", "uniquepid", "hospitalid"):
        if missing := patient[column].isna().sum():
            raise InputError(f"{raw}: PATIENT.{column}: {missing} values are missing")
    if repeated := patient["patientunitstayid"].duplicated().sum():
        raise InputError(
            f"{raw}: PATIENT.patientunitstayid: {repeated} values occur more than once: they must be unique"
        )
    text = patient["age"].fillna("").str.strip()
    age = pd.to_numeric(text.mask(text == "> 89", "90"), errors="coerce")
    if wrong := (age.isna() & (text != "")).sum():
        raise InputError(f"{raw}: PATIENT.age: {wrong} values are neither a number nor > 89")
    hours = (
        patient[["hospitaladmitoffset", "hospitaldischargeoffset", "unitdischargeoffset"]].astype(
            "float64"
        )
        / 60
    )
    died = patient["hospitaldischargestatus"].map(OUTCOMES).astype("boolean")
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
            "subject_id": np.unique(patient["uniquepid"].to_numpy(str), return_inverse=True)[
                1
            ].astype("int64")
            + 1,
            "hadm_id": patient["patienthealthsystemstayid"].astype("Int64"),
            "subject_order": (in_order.groupby("uniquepid").cumcount() + 1).astype("int16"),
            "source_group": "hospital-" + patient["hospitalid"].astype(str),
            "age": age.clip(upper=90).astype("float32"),
            "sex": patient["gender"].map(SEXES),
            "icu_type": patient["unittype"],
            "admit_hour": hours["hospitaladmitoffset"].astype("float32"),
            "discharge_hour": hours["hospitaldischargeoffset"].astype("float32"),
            "out_hour": hours["unitdischargeoffset"].astype("float32"),
            "death_hour": hours["hospitaldischargeoffset"]
            .where(died.fillna(False))
            .astype("float32"),
            "died": died,
        }
    )


def _item(i: Items, name: str, rank: int) -> str:
    """A row of `items` in EVENTS_QUERY."""
    limits = f"CAST({i.above} AS DOUBLE PRECISION), CAST({i.below} AS DOUBLE PRECISION), {i.below_counts}"
    unit = "NULL" if i.unit is None else literal(i.unit)
    return f"({literal(i.table)}, {literal(name)}, {unit}, {rank}, {limits}, {i.fahrenheit}, CAST({i.factor} AS DOUBLE PRECISION))"


def _chosen(table: str) -> str:
    """The column of a table of monitors that c.name names."""
    return (
        "CASE c.name "
        + " ".join(f"WHEN {literal(column)} THEN {column}" for column in NAMES[table])
        + " END"
    )


def _events(
    raw: Path, window_hours: int, measurements: tuple[Measurement, ...]
) -> Iterator[pa.RecordBatch]:
    items = [(i, name, RANKS[m.name]) for m in measurements for i in m.eicu for name in i.names]
    sql = EVENTS_QUERY.format(
        items=", ".join(_item(*item) for item in items),
        units=", ".join(f"({literal(name)}, {literal(i.unit)})" for i, name, _ in items if i.unit),
        vitalperiodic=_chosen("vitalperiodic"),
        vitalaperiodic=_chosen("vitalaperiodic"),
        minutes=60 * window_hours,
    )
    with open_raw(raw, TABLES) as database:
        yield from database.events(sql)
