"""The 19 measurements: order of the columns, unit, place in each source, and valid values.

No other module has such a table. Item ids and limits are those of MIMIC-III v1.4, from the concepts
of MIT-LCP mimic-code. MIMIC-IV has the same laboratory and MetaVision ids and the same units. Names
in eICU v2.0 are from the concepts of MIT-LCP eicu-code. The codes of MEDS are in code_maps/.
"""

from dataclasses import dataclass, replace

LARGEST_FLOAT32 = 3.4e38


@dataclass(frozen=True)
class Items:
    """The rows of one raw table that have a measurement, and which of their values are valid.

    A value v is valid if above < v < below. If `below_counts`, v = below is valid too. The limits
    apply to the charted value.

    table: The raw table, in lower case.
    itemids: The item ids in MIMIC-III and MIMIC-IV.
    fahrenheit: The value is stored as (v - 32) / 1.8.
    names: The names in eICU: of a laboratory test, a column of vital signs, or a nurse's entry.
    factor: Otherwise, the value is stored as v * factor.
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
    """One column of the grid.

    items: Where MIMIC-III and MIMIC-IV store it. The limits of the last entry also apply to the
        values of Challenge 2012, and to those of MEDS after the conversion of units.
    challenge: Its parameter names in the records of PhysioNet Challenge 2012.
    eicu: Where eICU stores it.
    """

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


# The literature has no upper limit for the following five. Records contain values that no patient
# can have, such as a pH of 735 or a magnesium of 21 mg/dL. Such a value is left out, so that it
# does not change the mean of its hour.
POTASSIUM_BLOOD_GAS = Items("labevents", (50822,), below=30)  # the literature's limit of chemistry
POTASSIUM_CHEMISTRY = Items("labevents", (50971,), below=30)
# The highest ionised calcium of patients is about 2.5 mmol/L. A larger value is in mg/dL, where 4.6
# is normal.
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

# eICU stores every ionised calcium as mg/dL, although many laboratories report mmol/L. Patients
# have 0.6 to 2.5 mmol/L, so a larger value is in mg/dL. 1 mmol is 40.08 mg.
# extract/sources/eicu_units.py has the units that the size of a value does not show.
EICU_CALCIUM = (
    FREE_CALCIUM.at("lab", "ionized calcium"),
    replace(
        FREE_CALCIUM.at("lab", "ionized calcium"), above=2.5, below=2.5 * 4.008, factor=1 / 4.008
    ),
)
# The size of a temperature shows its unit. Monitors report both units, and nurses chart both units
# under both names.
EICU_TEMPERATURE = (
    CELSIUS.at("vitalperiodic", "temperature"),
    FAHRENHEIT.at("vitalperiodic", "temperature"),
    CELSIUS.at("nursecharting", "Temperature (C)", "Temperature (F)"),
    FAHRENHEIT.at("nursecharting", "Temperature (C)", "Temperature (F)"),
)

MEASUREMENTS = (
    Measurement("potassium", "mEq/L", (POTASSIUM_BLOOD_GAS, POTASSIUM_CHEMISTRY), ("K",), (
        POTASSIUM_CHEMISTRY.at("lab", "potassium"),
    )),
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
    _vital("heartrate", "/min", HEARTRATE, ("HR",), {
        "vitalperiodic": ("heartrate",), "nursecharting": ("Heart Rate",),
    }),
    _vital("sysbp", "mmHg", SYSBP, ("SysABP", "NISysABP"), {
        "vitalperiodic": ("systemicsystolic",), "vitalaperiodic": ("noninvasivesystolic",),
        "nursecharting": ("Invasive BP Systolic", "Non-Invasive BP Systolic"),
    }),
    _vital("diasbp", "mmHg", DIASBP, ("DiasABP", "NIDiasABP"), {
        "vitalperiodic": ("systemicdiastolic",), "vitalaperiodic": ("noninvasivediastolic",),
        "nursecharting": ("Invasive BP Diastolic", "Non-Invasive BP Diastolic"),
    }),
    Measurement("tempc", "°C", (FAHRENHEIT, CELSIUS), ("Temp",), EICU_TEMPERATURE),
    _vital("resprate", "/min", RESPRATE, ("RespRate",), {
        "vitalperiodic": ("respiration",), "nursecharting": ("Respiratory Rate",),
    }),
    _vital("spo2", "%", SPO2, ("SaO2",), {
        "vitalperiodic": ("sao2",), "nursecharting": ("O2 Saturation",),
    }),
)  # fmt: skip
NAMES = tuple(m.name for m in MEASUREMENTS)
UNITS = {m.name: m.unit for m in MEASUREMENTS}
M = len(MEASUREMENTS)

ABSENT = "not in these data"
# What readers of a map must know about a measurement of one source, by (extract.source, name).
NOTES = {
    ("challenge2012", "spo2"): "arterial SaO2 of blood gases, not pulse oximetry",
    ("challenge2012", "calcium"): ABSENT,
}


def note(source: str, measurement: str) -> str:
    """How a measurement differs in one source.

    Args:
        source: As extract.source.
        measurement: One of NAMES.

    Returns:
        A short phrase without a full stop, ABSENT for a measurement that the source does not
        have, or "" if nothing differs.
    """
    return NOTES.get((source, measurement), "")


def choose(potassium: str) -> tuple[Measurement, ...]:
    """The measurements with potassium from `both` of its items, or only from the `blood_gas` item.

    The method `prior` uses only the blood gas item.

    Args:
        potassium: The value of extract.potassium.
    """
    if potassium == "both":
        return MEASUREMENTS
    return (replace(MEASUREMENTS[0], items=(POTASSIUM_BLOOD_GAS,)), *MEASUREMENTS[1:])
