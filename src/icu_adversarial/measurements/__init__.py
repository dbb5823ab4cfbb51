"""The 19 measurements: column order, unit, where each source keeps them and which values count.

The only such table of the project. Item ids and limits: MIMIC-III v1.4, after the MIT-LCP
mimic-code concepts. MIMIC-IV keeps the ids of its laboratory and of MetaVision, and the units too.
Names in eICU: v2.0, after the MIT-LCP eicu-code concepts. MEDS has codes of its own: code_maps/.
"""

from dataclasses import dataclass, replace

LARGEST_FLOAT32 = 3.4e38


@dataclass(frozen=True)
class Items:
    """Rows of one raw table that carry a measurement: by their item ids in MIMIC-III and -IV; by their names in eICU, those of labs, of columns of
    vital signs, or of what nurses chart.

    A value v counts when `above < v < below`, or `above < v <= below` where `below_counts`. The limits apply to the value as charted;
    it is stored as (v - 32) / 1.8 where `fahrenheit`, else as v * factor.
    """

    table: str
    itemids: tuple[int, ...] = ()
    above: float = 0.0
    below: float = LARGEST_FLOAT32
    below_counts: bool = True
    fahrenheit: bool = False
    names: tuple[str, ...] = ()
    factor: float = 1.0

    def at(self, table: str, *names: str) -> "Items":
        """The same limits and unit in another table, by name."""
        return replace(self, table=table, itemids=(), names=names)


@dataclass(frozen=True)
class Measurement:
    """One column of the grid. `items`: in MIMIC-III and -IV; `eicu`: in eICU. `challenge` holds its parameter names in the PhysioNet
    Challenge 2012 records; their values, and those of MEDS after conversion, obey the limits of the last entry of `items`."""

    name: str
    unit: str
    items: tuple[Items, ...]
    challenge: tuple[str, ...]
    eicu: tuple[Items, ...]


def _lab(
    name: str,
    unit: str,
    itemid: int,
    challenge: str,
    eicu: str,
    at_most: float,
    above: float = 0.0,
) -> Measurement:
    items = Items("labevents", (itemid,), above=above, below=at_most)
    return Measurement(name, unit, (items,), (challenge,), (items.at("lab", eicu),))


def _vital(
    name: str, unit: str, items: Items, challenge: tuple[str, ...], eicu: dict[str, tuple[str, ...]]
) -> Measurement:
    return Measurement(
        name,
        unit,
        (items,),
        challenge,
        tuple(items.at(table, *names) for table, names in eicu.items()),
    )


# The literature gives the following five no upper limit, but records hold values that no patient
# can have: a pH of 735, a magnesium of 21 mg/dL. Such a value is left out, so that it cannot move
# its hour's mean.
POTASSIUM_BLOOD_GAS = Items("labevents", (50822,), below=30)  # as the literature's for chemistry
POTASSIUM_CHEMISTRY = Items("labevents", (50971,), below=30)
# The highest ionised calcium of patients is about 2.5 mmol/L. More is in mg/dL, where 4.6 is normal.
FREE_CALCIUM = Items("labevents", (50808,), below=2.5)
# A patient survived 16.6 mg/dL with asystole: Internal Medicine 44:448-452, 2005.
MAGNESIUM = Items("labevents", (50960,), below=20)
# eicu-code, concepts/pivoted/pivoted-bg.sql: pH 6.5 to 8.5, paCO2 5 to 250 mmHg. The lower limit of
# pH is 6.3 here, because patients with metformin poisoning have survived less than 6.5.
PH_ABOVE, PH_AT_MOST = 6.3, 8.5
PCO2_ABOVE, PCO2_AT_MOST = 5.0, 250.0
FAHRENHEIT = Items(
    "chartevents", (223761, 678), above=70, below=120, below_counts=False, fahrenheit=True
)
CELSIUS = Items("chartevents", (223762, 676), above=10, below=50, below_counts=False)
HEARTRATE = Items("chartevents", (211, 220045), below=300, below_counts=False)
SYSBP = Items("chartevents", (51, 442, 455, 6701, 220179, 220050), below=400, below_counts=False)
DIASBP = Items(
    "chartevents", (8368, 8440, 8441, 8555, 220180, 220051), below=300, below_counts=False
)
RESPRATE = Items("chartevents", (615, 618, 220210, 224690), below=70, below_counts=False)
SPO2 = Items("chartevents", (646, 220277), below=100)

# eICU files every ionized calcium under mg/dL, though many laboratories send mmol/L. Patients have
# 0.6 to 2.5 mmol/L, so a larger value is in mg/dL. 1 mmol is 40.08 mg. records/eicu_units.py holds
# the units that the size of a value does not tell apart.
EICU_CALCIUM = (
    FREE_CALCIUM.at("lab", "ionized calcium"),
    replace(
        FREE_CALCIUM.at("lab", "ionized calcium"), above=2.5, below=2.5 * 4.008, factor=1 / 4.008
    ),
)
# The size of a temperature tells its unit: monitors send both, and nurses chart either of them
# under either name.
EICU_TEMPERATURE = (
    CELSIUS.at("vitalperiodic", "temperature"),
    FAHRENHEIT.at("vitalperiodic", "temperature"),
    CELSIUS.at("nursecharting", "Temperature (C)", "Temperature (F)"),
    FAHRENHEIT.at("nursecharting", "Temperature (C)", "Temperature (F)"),
)

MEASUREMENTS = (
    Measurement("potassium", "mEq/L", (POTASSIUM_BLOOD_GAS, POTASSIUM_CHEMISTRY), ("K",), (POTASSIUM_CHEMISTRY.at("lab", "potassium"),)),
    Measurement("calcium", "mmol/L", (FREE_CALCIUM,), (), EICU_CALCIUM),
    _lab("ph", "", 50820, "pH", "pH", PH_AT_MOST, PH_ABOVE),
    _lab("pco2", "mmHg", 50818, "PaCO2", "paCO2", PCO2_AT_MOST, PCO2_ABOVE),
    _lab("lactate", "mmol/L", 50813, "Lactate", "lactate", at_most=50),
    _lab("albumin", "g/dL", 50862, "Albumin", "albumin", at_most=10),
    _lab("bun", "mg/dL", 51006, "BUN", "BUN", at_most=300),
    _lab("creatinine", "mg/dL", 50912, "Creatinine", "creatinine", at_most=150),
    _lab("sodium", "mEq/L", 50983, "Na", "sodium", at_most=200),
    _lab("bicarbonate", "mEq/L", 50882, "HCO3", "bicarbonate", at_most=10000),
    _lab("platelet", "K/uL", 51265, "Platelets", "platelets x 1000", at_most=10000),
    _lab("glucose", "mg/dL", 50931, "Glucose", "glucose", at_most=10000),
    Measurement("magnesium", "mg/dL", (MAGNESIUM,), ("Mg",), (MAGNESIUM.at("lab", "magnesium"),)),
    _vital("heartrate", "/min", HEARTRATE, ("HR",), {"vitalperiodic": ("heartrate",), "nursecharting": ("Heart Rate",)}),
    _vital("sysbp", "mmHg", SYSBP, ("SysABP", "NISysABP"), {
        "vitalperiodic": ("systemicsystolic",), "vitalaperiodic": ("noninvasivesystolic",),
        "nursecharting": ("Invasive BP Systolic", "Non-Invasive BP Systolic"),
    }),
    _vital("diasbp", "mmHg", DIASBP, ("DiasABP", "NIDiasABP"), {
        "vitalperiodic": ("systemicdiastolic",), "vitalaperiodic": ("noninvasivediastolic",),
        "nursecharting": ("Invasive BP Diastolic", "Non-Invasive BP Diastolic"),
    }),
    Measurement("tempc", "°C", (FAHRENHEIT, CELSIUS), ("Temp",), EICU_TEMPERATURE),
    _vital("resprate", "/min", RESPRATE, ("RespRate",), {"vitalperiodic": ("respiration",), "nursecharting": ("Respiratory Rate",)}),
    _vital("spo2", "%", SPO2, ("SaO2",), {"vitalperiodic": ("sao2",), "nursecharting": ("O2 Saturation",)}),
)  # fmt: skip
NAMES = tuple(m.name for m in MEASUREMENTS)
UNITS = {m.name: m.unit for m in MEASUREMENTS}
M = len(MEASUREMENTS)

ABSENT = "not in these data"
# What a reader of a map must know about a measurement of one source: (extract.source, name).
NOTES = {
    ("challenge2012", "spo2"): "arterial SaO2 of blood gases, not pulse oximetry",
    ("challenge2012", "calcium"): ABSENT,
}


def note(source: str, measurement: str) -> str:
    """What differs about a measurement in one source.

    Args:
        source: As extract.source.
        measurement: One of NAMES.

    Returns:
        A short phrase without a full stop, ABSENT for a measurement that the source never has,
        or "" where there is nothing to say.
    """
    return NOTES.get((source, measurement), "")


def choose(potassium: str) -> tuple[Measurement, ...]:
    """The measurements with potassium from `both` of its items or from the `blood_gas` item alone (PRIOR's choice)."""
    if potassium == "both":
        return MEASUREMENTS
    return (replace(MEASUREMENTS[0], items=(POTASSIUM_BLOOD_GAS,)), *MEASUREMENTS[1:])
