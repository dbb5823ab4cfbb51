"""Bodies of the synthetic hospital: how ill a patient is, how that shows in 20 variables, and who dies of it.

Illness has four parts (FACTORS). Each has a level at ICU admission and one change during the stay, both drawn per stay around one of
five phenotypes. Death depends on where the parts end, more strongly on how they changed, on two parts failing together, on age,
and on much that nobody measures. No number here is fitted to patients: centres and spreads are rounded textbook values.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from icu_adversarial.measurements import NAMES

FIRST_HOUR, LAST_HOUR = (
    -24,
    72,
)  # the course is simulated between these hours, relative to ICU admission
HOURS = np.arange(FIRST_HOUR, LAST_HOUR + 1)
FACTORS = ("circulatory", "renal", "respiratory", "metabolic")
PHENOTYPES = ("OBSERVATION", "SEPSIS", "RENAL FAILURE", "RESPIRATORY FAILURE", "LIVER FAILURE")
PHENOTYPE_SHARES = (0.36, 0.22, 0.14, 0.18, 0.10)
PHENOTYPE_LEVELS = np.array(
    [
        [-0.5, -0.5, -0.5, -0.5],
        [1.1, 0.2, 0.2, 0.1],
        [0.0, 1.4, 0.0, 0.1],
        [0.1, 0.0, 1.3, 0.0],
        [0.2, 0.2, 0.0, 1.4],
    ]
)
DEATH_INTERCEPT = -8.55


class Variable(NamedTuple):
    """One charted quantity. Spreads and effects are in its unit, or in log units where `scale` is not linear.

    `effects`: shift per unit of log(1 + exp(factor)). `persistence`: hour-to-hour correlation of its fluctuation. scale from_100: 100 - exp(z).
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
    Variable(
        "hematocrit", 32, 4.0, 0.8, 0.98, 0.6, (-0.3, -0.5, 0.0, -0.4), 14, 58, 1
    ),  # beside the 19: a reader must ignore it
)
COLUMN = {variable.name: number for number, variable in enumerate(VARIABLES)}
assert tuple(COLUMN)[:19] == NAMES
# A variable that moves with another one beyond what illness explains: (name, follows, r), applied in this order.
# A later row of the same name weakens an earlier one by sqrt(1 - r^2).
FOLLOWS = (
    ("diasbp", "sysbp", 0.65), ("creatinine", "bun", 0.65), ("bicarbonate", "lactate", -0.45), ("ph", "pco2", -0.6), ("ph", "bicarbonate", 0.45),
    ("albumin", "calcium", 0.3), ("tempc", "heartrate", 0.35), ("resprate", "heartrate", 0.35), ("spo2", "resprate", 0.3),
    ("magnesium", "potassium", 0.3),
)  # fmt: skip


@dataclass(frozen=True)
class Course:
    """Illness of N stays: phenotype (N,) number into PHENOTYPES; level and change (N, 4) by factor; onset (N,) hour at which the change
    begins and duration (N,) hours that it takes."""

    phenotype: np.ndarray
    level: np.ndarray
    change: np.ndarray
    onset: np.ndarray
    duration: np.ndarray

    def take(self, rows: slice) -> "Course":
        return Course(
            self.phenotype[rows],
            self.level[rows],
            self.change[rows],
            self.onset[rows],
            self.duration[rows],
        )


def draw_courses(rng: np.random.Generator, earlier: np.ndarray) -> Course:
    """Courses of N stays. earlier (N,): the stay's own number, or that of the first stay of its admission, whose level it largely shares."""
    n = len(earlier)
    phenotype = rng.choice(len(PHENOTYPES), n, p=PHENOTYPE_SHARES)[earlier]
    level = (
        PHENOTYPE_LEVELS[phenotype]
        + 0.55 * rng.standard_normal((n, 1))
        + 0.6 * rng.standard_normal((n, 4))
    )
    change = -0.1 + 0.65 * rng.standard_normal((n, 1)) + 0.65 * rng.standard_normal((n, 4))
    again = (earlier != np.arange(n))[:, None]
    level = np.where(again, 0.7 * level[earlier] + 0.3 * level, level)
    return Course(phenotype, level, change, rng.uniform(0, 30, n), rng.uniform(6, 24, n))


def death_logit(course: Course, age: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) log odds of death in the hospital; age (N,) in years. Includes what is never measured."""
    end = course.level + course.change
    failing = np.logaddexp(0, end)
    together = failing[:, 0] * failing[:, 1] + failing[:, 0] * failing[:, 2]
    unmeasured = 0.4 * rng.standard_normal(len(age))
    logit: np.ndarray = (
        DEATH_INTERCEPT
        + 1.15 * end.sum(axis=1)
        + 0.5 * course.change.sum(axis=1)
        + 0.35 * together
        + 0.45 * (age - 65) / 15
        + unmeasured
    )
    return logit


def illness(course: Course) -> np.ndarray:
    """(N, len(HOURS), 4) strength of each factor by hour, >= 0 (0 = well)."""
    progress = np.clip((HOURS - course.onset[:, None]) / course.duration[:, None], 0, 1)
    strength: np.ndarray = np.logaddexp(
        0, course.level[:, None, :] + course.change[:, None, :] * progress[:, :, None]
    )
    return strength


def correlated(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """(*shape, 20) standard normals, correlated across variables as FOLLOWS says."""
    draws = rng.standard_normal((*shape, len(VARIABLES)))
    for name, other, r in FOLLOWS:
        draws[..., COLUMN[name]] = (
            r * draws[..., COLUMN[other]] + np.sqrt(1 - r * r) * draws[..., COLUMN[name]]
        )
    return draws


def trajectories(ill: np.ndarray, baseline: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, len(HOURS), 20) true state by hour, in linear or log units. ill as `illness` gives it; baseline (N, 20) standard normal per patient."""
    table = {
        field: np.array([getattr(v, field) for v in VARIABLES])
        for field in ("centre", "between", "within", "persistence")
    }
    effects = np.array([v.effects for v in VARIABLES])
    wave = correlated(
        rng, len(HOURS), len(ill)
    )  # hours first: each step of the recursion is one contiguous block
    keep = table["persistence"]
    for hour in range(1, len(HOURS)):
        wave[hour] = keep * wave[hour - 1] + np.sqrt(1 - keep**2) * wave[hour]
    state: np.ndarray = (table["centre"] + table["between"] * baseline)[:, None, :] + table[
        "within"
    ] * wave.transpose(1, 0, 2)
    for factor in range(len(FACTORS)):
        state += ill[:, :, factor, None] * effects[:, factor]
    return state


def readings(
    state: np.ndarray,
    stay: np.ndarray,
    hour: np.ndarray,
    variable: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(E,) values in clinical units, unrounded: the state of (stay, variable) at `hour`, between the hours of the grid, plus a reading's noise."""
    position = np.clip(hour - FIRST_HOUR, 0, len(HOURS) - 1)
    left = np.minimum(position.astype(np.int64), len(HOURS) - 2)
    part = position - left
    z = (1 - part) * state[stay, left, variable] + part * state[stay, left + 1, variable]
    z += np.array([v.noise for v in VARIABLES])[variable] * rng.standard_normal(len(z))
    scale = np.array([v.scale for v in VARIABLES])[variable]
    value = np.where(scale == "linear", z, np.exp(np.where(scale == "linear", 0, z)))
    value = np.where(scale == "from_100", 100 - value, value)
    return np.clip(
        value,
        np.array([v.low for v in VARIABLES])[variable],
        np.array([v.high for v in VARIABLES])[variable],
    )
