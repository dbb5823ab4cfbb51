"""The 19 measurements: column order, unit, where each source keeps them and which values count.

The only such table of the project. Item ids and limits: MIMIC-III v1.4, after the MIT-LCP mimic-code concepts.
"""

from dataclasses import dataclass, replace

LARGEST_FLOAT32 = 3.4e38


@dataclass(frozen=True)
class Items:
    """Rows of one raw MIMIC-III table that carry a measurement.

    A value v counts when `above < v < below`, or `above < v <= below` where `below_counts`.
    `fahrenheit` values are stored as (v - 32) / 1.8; the limits apply to the value as charted.
    """

    table: str
    itemids: tuple[int, ...]
    above: float = 0.0
    below: float = LARGEST_FLOAT32
    below_counts: bool = True
    fahrenheit: bool = False


@dataclass(frozen=True)
class Measurement:
    """One column of the grid. `challenge` holds its parameter names in the PhysioNet Challenge 2012 records;
    their values obey the limits of the last entry of `items`."""

    name: str
    unit: str
    items: tuple[Items, ...]
    challenge: tuple[str, ...]


def _lab(name: str, unit: str, itemid: int, challenge: str, at_most: float = LARGEST_FLOAT32) -> Measurement:
    return Measurement(name, unit, (Items("labevents", (itemid,), below=at_most),), (challenge,) if challenge else ())


def _vital(name: str, unit: str, itemids: tuple[int, ...], challenge: tuple[str, ...], below: float, counts: bool = False) -> Measurement:
    return Measurement(name, unit, (Items("chartevents", itemids, below=below, below_counts=counts),), challenge)


POTASSIUM_BLOOD_GAS = Items("labevents", (50822,))
POTASSIUM_CHEMISTRY = Items("labevents", (50971,), below=30)
FAHRENHEIT = Items("chartevents", (223761, 678), above=70, below=120, below_counts=False, fahrenheit=True)
CELSIUS = Items("chartevents", (223762, 676), above=10, below=50, below_counts=False)

MEASUREMENTS = (
    Measurement("potassium", "mEq/L", (POTASSIUM_BLOOD_GAS, POTASSIUM_CHEMISTRY), ("K",)),
    _lab("calcium", "mmol/L", 50808, ""),
    _lab("ph", "", 50820, "pH"),
    _lab("pco2", "mmHg", 50818, "PaCO2"),
    _lab("lactate", "mmol/L", 50813, "Lactate", at_most=50),
    _lab("albumin", "g/dL", 50862, "Albumin", at_most=10),
    _lab("bun", "mg/dL", 51006, "BUN", at_most=300),
    _lab("creatinine", "mg/dL", 50912, "Creatinine", at_most=150),
    _lab("sodium", "mEq/L", 50983, "Na", at_most=200),
    _lab("bicarbonate", "mEq/L", 50882, "HCO3", at_most=10000),
    _lab("platelet", "K/uL", 51265, "Platelets", at_most=10000),
    _lab("glucose", "mg/dL", 50931, "Glucose", at_most=10000),
    _lab("magnesium", "mg/dL", 50960, "Mg"),
    _vital("heartrate", "/min", (211, 220045), ("HR",), below=300),
    _vital("sysbp", "mmHg", (51, 442, 455, 6701, 220179, 220050), ("SysABP", "NISysABP"), below=400),
    _vital("diasbp", "mmHg", (8368, 8440, 8441, 8555, 220180, 220051), ("DiasABP", "NIDiasABP"), below=300),
    Measurement("tempc", "°C", (FAHRENHEIT, CELSIUS), ("Temp",)),
    _vital("resprate", "/min", (615, 618, 220210, 224690), ("RespRate",), below=70),
    _vital("spo2", "%", (646, 220277), ("SaO2",), below=100, counts=True),
)
NAMES = tuple(m.name for m in MEASUREMENTS)
UNITS = {m.name: m.unit for m in MEASUREMENTS}
M = len(MEASUREMENTS)


def choose(potassium: str) -> tuple[Measurement, ...]:
    """The measurements with potassium from `both` of its items or from the `blood_gas` item alone (PRIOR's choice)."""
    if potassium == "both":
        return MEASUREMENTS
    return (replace(MEASUREMENTS[0], items=(POTASSIUM_BLOOD_GAS,)), *MEASUREMENTS[1:])
