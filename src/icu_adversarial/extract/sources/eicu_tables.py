"""The raw tables of eICU-CRD 2.0 that eicu.py reads, and their columns."""

from collections.abc import Sequence

from icu_adversarial.extract.sources.eicu_sql import names_by_table
from icu_adversarial.extract.storage.views import MEASURED, Table
from icu_adversarial.measurements import Measurement

STAY = {"patientunitstayid": "BIGINT"}
MONITOR = STAY | {"observationoffset": "BIGINT"}
LAB = STAY | {
    "labresultoffset": "BIGINT",
    "labname": "VARCHAR",
    "labresult": MEASURED,
    "labmeasurenameinterface": "VARCHAR",
    "labresultrevisedoffset": "BIGINT",
}
NURSE = STAY | {
    "nursingchartoffset": "BIGINT",
    "nursingchartcelltypevallabel": "VARCHAR",
    "nursingchartcelltypevalname": "VARCHAR",
    "nursingchartvalue": "VARCHAR",
}
RESPIRATORY = STAY | {
    "respchartoffset": "BIGINT",
    "respchartvaluelabel": "VARCHAR",
    "respchartvalue": "VARCHAR",
}
OUTPUT = STAY | {
    "intakeoutputoffset": "BIGINT",
    "cellpath": "VARCHAR",
    "cellvaluenumeric": MEASURED,
}
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
OF_STAYS = STAY | dict.fromkeys(PATIENT_NUMBERS, "BIGINT") | dict.fromkeys(PATIENT_TEXTS, "VARCHAR")
PATIENT = {"patient": Table(OF_STAYS)}
SIZES = dict.fromkeys(("admissionweight", "admissionheight"), "DOUBLE PRECISION")
# The tables with a measurement in each row, and the column that names it. The paths of INTAKEOUTPUT
# are compared with patterns, so none of its rows can be left out before.
NAMED: dict[str, tuple[dict[str, str], str | None]] = {
    "lab": (LAB, "labname"),
    "nursecharting": (NURSE, "nursingchartcelltypevalname"),
    "respiratorycharting": (RESPIRATORY, "respchartvaluelabel"),
    "intakeoutput": (OUTPUT, None),
}


def tables(measurements: Sequence[Measurement]) -> dict[str, Table]:
    """All tables that are read, and their columns."""
    found = dict(PATIENT)
    for table, names in names_by_table(measurements).items():
        if table in NAMED:
            columns, column = NAMED[table]
            # of a nurse's label|name, the column has the name
            last = tuple(dict.fromkeys(name.rpartition("|")[2] for name in names))
            found[table] = Table(columns, keep=(column, last) if column else None)
        elif table == "patient":
            found[table] = Table(OF_STAYS | SIZES)
        else:  # a monitor: a column for each measurement
            found[table] = Table(MONITOR | dict.fromkeys(names, MEASURED))
    return found
