"""Who died in the hospital, and when, by the PATIENT table of eICU. eicu.py uses it.

Every function reads the columns of PATIENT in small letters, one row per unit stay, step-down units
included: a unit stay is judged together with the others of its hospital stay and subject.
"""

import numpy as np
import pandas as pd

STATUS = {"expired": True, "alive": False}


def outcome(patient: pd.DataFrame) -> pd.Series:
    """Death in the hospital.

    Args:
        patient: PATIENT.

    Returns:
        boolean (unit stays). It is hospitaldischargestatus. Where that is missing, it is a death if
        a unit of the hospital stay says Expired, else null. It is also null where the record
        contradicts itself: a death in a hospital stay that the patient left alive, deaths in two
        hospital stays of a subject, or a hospital stay that ends in a year after the death.
    """
    hospital = _status(patient, "hospitaldischargestatus")
    dead = _dead(patient)
    return hospital.fillna(dead.astype("boolean").where(dead)).mask(_contradicted(patient))


def icu_outcome(patient: pd.DataFrame) -> pd.Series:
    """Death in the unit.

    Args:
        patient: PATIENT.

    Returns:
        boolean (unit stays). It is unitdischargestatus. Where that is missing, it is false if the
        patient left the hospital alive, else null. It is null where the record contradicts itself,
        as in `outcome`.
    """
    unit, hospital = (_status(patient, f"{of}dischargestatus") for of in ("unit", "hospital"))
    return unit.fillna(hospital.where(~hospital)).mask(_contradicted(patient))


def death_minute(patient: pd.DataFrame) -> pd.Series:
    """Minutes from each unit admission to the death in a unit of the same hospital stay.

    Offsets from the hospital admission put the unit stays of one hospital stay on one line of time.

    Args:
        patient: PATIENT.

    Returns:
        float64 (unit stays), NaN where no unit says Expired, below 0 for a unit stay that begins
        after the death.
    """
    expired = _status(patient, "unitdischargestatus").fillna(False).to_numpy(bool)
    admitted = patient["hospitaladmitoffset"].astype("float64")
    own = patient["unitdischargeoffset"].astype("float64").where(expired)
    first = (own - admitted).groupby(_hospital_stay(patient)).transform("min") + admitted
    return first.fillna(own)


def _dead(patient: pd.DataFrame) -> pd.Series:
    """Whether a row of the same hospital stay says Expired, of the hospital or of a unit."""
    says = [_status(patient, f"{of}dischargestatus") for of in ("hospital", "unit")]
    stay = _hospital_stay(patient)
    return _any(says[0], stay) | _any(says[1], stay)


def _contradicted(patient: pd.DataFrame) -> pd.Series:
    """Whether the record of a unit stay contradicts itself, as in `outcome`."""
    stay, subject = _hospital_stay(patient), patient["uniquepid"]
    dead = _dead(patient)
    left_alive = _any(~_status(patient, "hospitaldischargestatus"), stay)
    year = patient["hospitaldischargeyear"]
    died_in = year.where(dead & ~left_alive).groupby(subject).transform("min")
    deaths = stay.where(dead & ~left_alive).groupby(subject).transform("nunique")
    return (dead & left_alive) | (dead & (deaths > 1)) | (year > died_in).fillna(False)


def _status(patient: pd.DataFrame, column: str) -> pd.Series:
    """Whether the patient left dead, by one of the two columns; null where it does not tell."""
    return patient[column].str.strip().str.lower().map(STATUS).astype("boolean")


def _any(says: pd.Series, stay: pd.Series) -> pd.Series:
    """Whether any row of the same hospital stay says so, bool (unit stays)."""
    return says.fillna(False).astype(bool).groupby(stay).transform("any")


def _hospital_stay(patient: pd.DataFrame) -> pd.Series:
    """A number for each hospital stay of a subject; one of its own where it is unknown."""
    known = patient["patienthealthsystemstayid"].notna()
    own = pd.Series(np.arange(len(patient)), patient.index).where(~known, -1)
    keys = [patient["uniquepid"], patient["patienthealthsystemstayid"], own]
    return patient.groupby(keys, dropna=False, sort=False).ngroup()
