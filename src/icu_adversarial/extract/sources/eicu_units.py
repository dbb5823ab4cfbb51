"""Units of eICU's laboratory results, and their conversions.

eICU files every result of a test under one unit, and keeps the unit that the laboratory sent
(labmeasurenameinterface). The number is the laboratory's own, so the sent unit decides. A result
without a unit is in the usual one. A unit of unknown spelling is never taken for the usual one.
eicu_sql.py reads this table.
"""

from typing import NamedTuple

from icu_adversarial.extract import units
from icu_adversarial.measurements import MEASUREMENTS

# Units in which the values of a test are read as they are, by the limits in measurements.py. eICU
# files all ionized calcium under mg/dL; the size of a value tells the two units apart.
USUAL = {
    name: units.USUAL[m.name]
    for m in MEASUREMENTS
    for i in m.eicu
    if i.table == "lab"
    for name in i.names
} | {"ionized calcium": ("mmol/L", "mg/dL")}
UNKNOWN = "an unknown unit"


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
