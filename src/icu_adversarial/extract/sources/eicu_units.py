"""Units of eICU's laboratory results: their spellings and conversions.

eICU files every result of a test under one unit, and keeps the unit that the laboratory sent
(labmeasurenameinterface). The number is the laboratory's own, so the sent unit decides. eicu.py
reads this table.
"""

from typing import NamedTuple

# Spellings in small letters without blanks. A spelling that is not here counts as the usual unit of
# its test: every hospital has its own ("x10(3)/mcL").
SPELLINGS = {
    "mmol/L": ("mmol/l", "mmols/l", "mmoles/l", "mmol/lt", "mmol/liter", "mmoles/liter", "mm/l"),
    "mEq/L": ("meq/l", "meq/liter"),
    "umol/L": (
        *("umol/l", "umoles/l", "umol/liter", "uumol/l", "mcmol/l"),
        *("micromol/l", "micromoles/l", "micromol/liter"),
    ),
    "nmol/L": ("nmol/l",),
    "mg/dL": ("mg/dl", "mgs/dl", "mg%", "mg/100ml"),
    "g/dL": ("g/dl", "gm/dl", "gms/dl", "g%", "gm%"),
    "ug/dL": ("ug/dl", "mcg/dl"),
    "mg/L": ("mg/l",),
    "g/L": ("g/l", "gm/l", "g/liter", "g/litre"),
    "mmHg": ("mmhg", "mm(hg)", "torr"),
    "kPa": ("kpa",),
}
# Units of a test whose values are read as they are, by the limits in measurements.py. For ions of
# charge one, 1 mEq is 1 mmol. Calcium in mg/dL and in mmol/L differ by their size.
USUAL = {
    "potassium": ("mEq/L", "mmol/L"),
    "sodium": ("mEq/L", "mmol/L"),
    "bicarbonate": ("mEq/L", "mmol/L"),
    "lactate": ("mmol/L", "mEq/L"),
    "ionized calcium": ("mmol/L", "mg/dL"),
    "magnesium": ("mg/dL",),
    "albumin": ("g/dL",),
    "BUN": ("mg/dL",),
    "creatinine": ("mg/dL",),
    "glucose": ("mg/dL",),
    "paCO2": ("mmHg",),
}


class Conversion(NamedTuple):
    """What a value of a test in another unit is worth.

    A value v is stored as v * factor where above < v <= at_most. The limits hold what patients can
    have in that unit, so that a value that was filed under a wrong unit is left out.
    """

    test: str
    unit: str
    factor: float
    above: float
    at_most: float


# Factors from molar masses in g/mol: glucose 180.16, creatinine 113.1, the nitrogen of urea 28.01,
# lactic acid 90.08, magnesium 24.305. 1 kPa is 7.50062 mmHg. Magnesium and calcium have 2 charges.
CONVERSIONS = (
    Conversion("glucose", "mmol/L", 18.016, 0.5, 55),
    Conversion("creatinine", "umol/L", 1 / 88.42, 10, 3000),
    Conversion("BUN", "mmol/L", 2.801, 0, 100),
    Conversion("paCO2", "kPa", 7.50062, 1, 30),
    Conversion("lactate", "mg/dL", 1 / 9.008, 2.5, 300),
    Conversion("albumin", "g/L", 0.1, 10, 100),
    Conversion("magnesium", "mmol/L", 2.4305, 0.2, 5),
    Conversion("magnesium", "mEq/L", 1.21525, 0.2, 10),
    Conversion("ionized calcium", "mEq/L", 0.5, 0, 5),
)
