"""The 20 variables of the synthetic hospital, as data. Centres and spreads are textbook values."""

from typing import Literal, NamedTuple

import numpy as np

from icu_adversarial.measurements import SETS


class Variable(NamedTuple):
    """One charted quantity.

    centre, between, within, noise and effects are in its unit, or in log units where `scale` is
    not linear.

    persistence: Correlation of the fluctuation from hour to hour.
    effects: Shift per unit of log(1 + exp(factor)), by factor.
    low, high: Limits of a reading, in its unit.
    scale: How a value follows from the state z: z, exp(z), or 100 - exp(z) for from_100.
    """

    name: str
    centre: float
    between: float  # standard deviation between patients
    within: float  # of the fluctuation in time
    persistence: float
    noise: float  # of a single reading
    effects: tuple[float, float, float, float]
    low: float
    high: float
    decimals: int
    scale: Literal["linear", "log", "from_100"] = "linear"


VARIABLES = (
    Variable("potassium", 3.9, 0.32, 0.25, 0.95, 0.12, (0.02, 0.24, 0.0, 0.05), 2.0, 8.5, 1),
    Variable("calcium", 1.17, 0.06, 0.04, 0.95, 0.02, (-0.025, -0.03, 0.0, -0.02), 0.6, 1.7, 2),
    Variable("ph", 7.43, 0.038, 0.038, 0.95, 0.012, (-0.017, -0.014, -0.02, -0.008), 6.8, 7.7, 2),
    Variable(
        "pco2", np.log(38.0), 0.15, 0.09, 0.93, 0.04, (-0.03, -0.03, 0.16, 0.0), 15, 130, 0, "log"
    ),
    Variable(
        "lactate", np.log(1.15), 0.42, 0.26, 0.96, 0.06, (0.30, 0.03, 0.04, 0.16), 0.3, 25, 1, "log"
    ),
    Variable("albumin", 3.6, 0.5, 0.1, 0.99, 0.1, (-0.18, -0.06, 0.0, -0.22), 1.0, 5.5, 1),
    Variable(
        "bun", np.log(15.0), 0.5, 0.17, 0.99, 0.04, (0.09, 0.31, 0.02, 0.05), 2, 220, 0, "log"
    ),
    Variable(
        "creatinine",
        np.log(0.75),
        0.48,
        0.17,
        0.99,
        0.05,
        (0.08, 0.32, 0.0, 0.04),
        0.1,
        18,
        1,
        "log",
    ),
    Variable("sodium", 140, 3.2, 1.5, 0.97, 0.8, (0.2, -0.9, 0.0, -1.1), 112, 172, 0),
    Variable("bicarbonate", 26.5, 2.6, 1.4, 0.96, 0.7, (-1.2, -1.2, 0.9, -0.5), 5, 48, 0),
    Variable(
        "platelet",
        np.log(250.0),
        0.48,
        0.12,
        0.99,
        0.04,
        (-0.16, -0.02, 0.0, -0.24),
        5,
        1200,
        0,
        "log",
    ),
    Variable(
        "glucose", np.log(112.0), 0.26, 0.18, 0.90, 0.05, (0.06, 0.0, 0.02, 0.10), 25, 900, 0, "log"
    ),
    Variable("magnesium", 1.9, 0.2, 0.12, 0.96, 0.05, (0.0, 0.12, 0.0, -0.03), 0.8, 5.0, 1),
    Variable("heartrate", 78, 12.5, 7.0, 0.85, 3.0, (6.5, 0.5, 3.5, 1.5), 25, 210, 0),
    Variable("sysbp", 129, 14.5, 9.0, 0.85, 5.0, (-8.5, 1.5, -1.0, -3.0), 45, 230, 0),
    Variable("diasbp", 64, 8.5, 5.5, 0.85, 3.5, (-4.2, 0.5, 0.0, -2.0), 18, 140, 0),
    Variable("tempc", 36.8, 0.35, 0.35, 0.93, 0.12, (0.28, -0.10, 0.08, -0.10), 32, 41.5, 1),
    Variable("resprate", 16.2, 2.9, 2.3, 0.80, 1.5, (1.0, 0.4, 1.9, 0.2), 4, 55, 0),
    Variable(
        "spo2", np.log(2.2), 0.38, 0.3, 0.85, 0.2, (0.10, 0.0, 0.33, 0.05), 60, 100, 0, "from_100"
    ),
    # This variable is not among the 19 measurements, so a reader must ignore it.
    Variable("hematocrit", 32, 4.0, 0.8, 0.98, 0.6, (-0.3, -0.5, 0.0, -0.4), 14, 58, 1),
)
COLUMN = {variable.name: number for number, variable in enumerate(VARIABLES)}
assert tuple(COLUMN)[:19] == SETS["literature"]
# Correlations beyond what illness explains: (name, other, r). They are applied in this order. A
# later row of the same name weakens an earlier one by the factor sqrt(1 - r^2).
FOLLOWS = (
    ("diasbp", "sysbp", 0.65),
    ("creatinine", "bun", 0.65),
    ("bicarbonate", "lactate", -0.45),
    ("ph", "pco2", -0.6),
    ("ph", "bicarbonate", 0.45),
    ("albumin", "calcium", 0.3),
    ("tempc", "heartrate", 0.35),
    ("resprate", "heartrate", 0.35),
    ("spo2", "resprate", 0.3),
    ("magnesium", "potassium", 0.3),
)
