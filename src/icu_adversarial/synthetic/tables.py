"""The seven raw tables of the synthetic hospital: their columns, and the four small ones' content.

Columns, names and types: https://mimic.mit.edu/docs/iii/tables/
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from icu_adversarial.synthetic.admitting import DAY, Hospital
from icu_adversarial.synthetic.items import ITEM_TEXTS, LAB_ITEMS
from icu_adversarial.synthetic.physiology import PHENOTYPES

_TYPES = {
    "i": pa.int64(),
    "f": pa.int32(),
    "t": pa.timestamp("us"),
    "d": pa.float64(),
    "s": pa.string(),
}
_COLUMNS = {
    "PATIENTS": "row_id:i subject_id:i gender:s dob:t dod:t dod_hosp:t dod_ssn:t expire_flag:f",
    "ADMISSIONS": "row_id:i subject_id:i hadm_id:i admittime:t dischtime:t deathtime:t"
    " admission_type:s admission_location:s discharge_location:s insurance:s language:s religion:s"
    " marital_status:s ethnicity:s edregtime:t edouttime:t diagnosis:s hospital_expire_flag:f"
    " has_chartevents_data:f",
    "ICUSTAYS": "row_id:i subject_id:i hadm_id:i icustay_id:i dbsource:s first_careunit:s"
    " last_careunit:s first_wardid:i last_wardid:i intime:t outtime:t los:d",
    "CHARTEVENTS": "row_id:i subject_id:i hadm_id:i icustay_id:i itemid:i charttime:t storetime:t"
    " cgid:i value:s valuenum:d valueuom:s warning:f error:f resultstatus:s stopped:s",
    "LABEVENTS": "row_id:i subject_id:i hadm_id:i itemid:i charttime:t value:s valuenum:d"
    " valueuom:s flag:s",
    "D_ITEMS": "row_id:i itemid:i label:s abbreviation:s dbsource:s linksto:s category:s"
    " unitname:s param_type:s conceptid:i",
    "D_LABITEMS": "row_id:i itemid:i label:s fluid:s category:s loinc_code:s",
}
SCHEMAS = {
    table: pa.schema(
        [(name, _TYPES[kind]) for name, kind in (column.split(":") for column in columns.split())],
        metadata={b"origin": b"synthetic"},
    )
    for table, columns in _COLUMNS.items()
}


def subject_id(number: np.ndarray) -> np.ndarray:
    """The ids of subjects with numbers from 0."""
    return 10001 + number


def hadm_id(number: np.ndarray) -> np.ndarray:
    """The ids of hospital admissions with numbers from 0."""
    return 100001 + number


def icustay_id(number: np.ndarray) -> np.ndarray:
    """The ids of ICU stays with numbers from 0."""
    return 200001 + number


def table(name: str, columns: dict[str, Any], first_row: int) -> pa.Table:
    """Convert columns to a raw table.

    Args:
        name: A key of SCHEMAS.
        columns: All columns but row_id, NumPy or Arrow. Times are seconds since 1970.
        first_row: The row_id of the first row.
    """
    schema = SCHEMAS[name]
    length = len(next(iter(columns.values())))
    arrays = {"row_id": np.arange(first_row, first_row + length)} | columns
    converted = []
    for field in schema:
        array = (
            arrays[field.name]
            if isinstance(arrays[field.name], pa.Array)
            else pa.array(arrays[field.name])
        )
        if pa.types.is_timestamp(field.type):
            array = array.cast(pa.timestamp("s"))
        converted.append(array.cast(field.type))
    return pa.Table.from_arrays(converted, schema=schema)


def _some(rng: np.random.Generator, n: int, options: dict[str | None, float]) -> pa.Array:
    """Draw n texts with these probabilities."""
    return pa.array(list(options), pa.string()).take(
        pa.array(rng.choice(len(options), n, p=list(options.values())))
    )


def patients(hospital: Hospital, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of PATIENTS. MIMIC-III stores ages above 89 as 300 years."""
    opening = np.flatnonzero(hospital.first_of_subject)
    n = len(opening)
    closing = np.append(opening[1:], len(hospital.subject)) - 1
    age = np.where(hospital.age[opening] > 89, 300, hospital.age[opening])
    born = hospital.admit[opening] - np.rint(age * 365.2425 * DAY).astype(np.int64)
    end = hospital.discharge[closing]
    in_hospital = hospital.died[closing]
    later = ~in_hospital & (rng.random(n) < 0.22)
    day_of_death = (
        np.where(
            in_hospital, end, end + DAY + np.rint(rng.exponential(400 * DAY, n)).astype(np.int64)
        )
        // DAY
        * DAY
    )
    dead = in_hospital | later
    return {
        "subject_id": subject_id(np.arange(n)),
        "gender": _some(rng, n, {"M": 0.56, "F": 0.44}),
        "dob": born // DAY * DAY,
        "dod": pa.array(day_of_death, mask=~dead),
        "dod_hosp": pa.array(day_of_death, mask=~in_hospital),
        "dod_ssn": pa.array(day_of_death, mask=~(later | (in_hospital & (rng.random(n) < 0.7)))),
        "expire_flag": dead.astype(np.int32),
    }


def admissions(hospital: Hospital, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of ADMISSIONS."""
    start = np.flatnonzero(hospital.first)
    n = len(start)
    admit, discharge, died = hospital.admit[start], hospital.discharge[start], hospital.died[start]
    emergency = rng.random(n) < 0.8
    registered = admit - 60 * rng.integers(30, 480, n)
    home = _some(
        rng,
        n,
        {"HOME": 0.45, "HOME HEALTH CARE": 0.25, "SNF": 0.18, "REHAB/DISTINCT PART HOSP": 0.12},
    )
    return {
        "subject_id": subject_id(hospital.subject[start]),
        "hadm_id": hadm_id(np.arange(n)),
        "admittime": admit,
        "dischtime": discharge,
        "deathtime": pa.array(discharge, mask=~died),
        "admission_type": pa.array(["ELECTIVE", "EMERGENCY"]).take(
            pa.array(emergency.astype(np.int8))
        ),
        "admission_location": pa.array(["PHYS REFERRAL/NORMAL DELI", "EMERGENCY ROOM ADMIT"]).take(
            pa.array(emergency.astype(np.int8))
        ),
        "discharge_location": pc.if_else(pa.array(died), "DEAD/EXPIRED", home),
        "insurance": _some(
            rng, n, {"Medicare": 0.5, "Private": 0.37, "Medicaid": 0.1, "Government": 0.03}
        ),
        "language": _some(rng, n, {"ENGL": 0.5, None: 0.42, "SPAN": 0.05, "RUSS": 0.03}),
        "religion": _some(
            rng,
            n,
            {"CATHOLIC": 0.35, "NOT SPECIFIED": 0.4, "PROTESTANT QUAKER": 0.15, "JEWISH": 0.1},
        ),
        "marital_status": _some(
            rng, n, {"MARRIED": 0.46, "SINGLE": 0.28, "WIDOWED": 0.15, None: 0.11}
        ),
        "ethnicity": _some(
            rng,
            n,
            {
                "UNKNOWN/NOT SPECIFIED": 0.4,
                "WHITE": 0.45,
                "BLACK/AFRICAN AMERICAN": 0.1,
                "OTHER": 0.05,
            },
        ),
        "edregtime": pa.array(registered, mask=~emergency),
        "edouttime": pa.array(admit + 60 * rng.integers(5, 60, n), mask=~emergency),
        "diagnosis": pa.array([f"SYNTHETIC {p}" for p in PHENOTYPES]).take(
            pa.array(hospital.course.phenotype[start])
        ),
        "hospital_expire_flag": died.astype(np.int32),
        "has_chartevents_data": np.ones(n, np.int32),
    }


def icustays(hospital: Hospital, dbsource: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of ICUSTAYS.

    Args:
        hospital: All stays.
        dbsource: int (N,), the charting system: 0 CareVue, 1 MetaVision.
        rng: Draws the units.
    """
    n = len(hospital.subject)
    units = pa.array(["MICU", "SICU", "CCU", "CSRU", "TSICU"])
    wards = np.array([52, 57, 7, 12, 14])
    first = rng.choice(len(units), n, p=[0.4, 0.16, 0.14, 0.18, 0.12])
    last = np.where(rng.random(n) < 0.05, rng.integers(0, len(units), n), first)
    return {
        "subject_id": subject_id(hospital.subject),
        "hadm_id": hadm_id(hospital.admission),
        "icustay_id": icustay_id(np.arange(n)),
        "dbsource": pa.array(["carevue", "metavision"]).take(pa.array(dbsource)),
        "first_careunit": units.take(pa.array(first)),
        "last_careunit": units.take(pa.array(last)),
        "first_wardid": wards[first],
        "last_wardid": wards[last],
        "intime": hospital.intime,
        "outtime": hospital.outtime,
        "los": np.rint((hospital.outtime - hospital.intime) / DAY * 1e4) / 1e4,
    }


def d_items() -> dict[str, Any]:
    """The columns of D_ITEMS."""
    metavision = [itemid > 220000 for itemid in ITEM_TEXTS]
    texts = list(ITEM_TEXTS.values())
    return {
        "itemid": list(ITEM_TEXTS),
        "label": [label for label, *_ in texts],
        "abbreviation": [t[1] for t in texts],
        "dbsource": ["metavision" if new else "carevue" for new in metavision],
        "linksto": ["chartevents"] * len(texts),
        "category": [t[2] for t in texts],
        "unitname": [t[3] for t in texts],
        "param_type": ["Numeric" if new else None for new in metavision],
        "conceptid": [None] * len(texts),
    }


def d_labitems() -> dict[str, Any]:
    """The columns of D_LABITEMS."""
    return {
        "itemid": [item.itemid for item in LAB_ITEMS],
        "label": [item.label for item in LAB_ITEMS],
        "fluid": ["Blood"] * len(LAB_ITEMS),
        "category": [item.category for item in LAB_ITEMS],
        "loinc_code": [item.loinc for item in LAB_ITEMS],
    }
