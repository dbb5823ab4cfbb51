"""How ill the patients of the synthetic hospital are, how 20 variables show it, and who dies.

Illness has four parts (FACTORS). Each part has a level at the ICU admission and one change during
the stay. Both are drawn per stay, around one of five phenotypes. The odds of death depend on the
final values of the parts, more strongly on their changes, on two parts failing together, on age,
and on a part that no variable shows. No number is fitted to patients: centres and spreads are
rounded textbook values.
"""

from dataclasses import dataclass

import numpy as np

from icu_adversarial.synthetic.variables import COLUMN, FOLLOWS, VARIABLES

FIRST_HOUR, LAST_HOUR = -24, 72  # of the simulation, relative to the ICU admission
HOURS = np.arange(FIRST_HOUR, LAST_HOUR + 1)
FACTORS = ("circulatory", "renal", "respiratory", "metabolic")
PHENOTYPES = ("OBSERVATION", "SEPSIS", "RENAL FAILURE", "RESPIRATORY FAILURE", "LIVER FAILURE")
PHENOTYPE_SHARES = (0.36, 0.22, 0.14, 0.18, 0.10)
PHENOTYPE_LEVELS = np.array(  # mean level of each factor, by phenotype
    [
        [-0.5, -0.5, -0.5, -0.5],
        [1.1, 0.2, 0.2, 0.1],
        [0.0, 1.4, 0.0, 0.1],
        [0.1, 0.0, 1.3, 0.0],
        [0.2, 0.2, 0.0, 1.4],
    ]
)
DEATH_INTERCEPT = -8.55


@dataclass(frozen=True)
class Course:
    """The illness of N stays.

    phenotype: int (N,), index into PHENOTYPES.
    level, change: (N, 4), by factor.
    onset: (N,), the hour in which the change begins.
    duration: (N,), the hours that the change takes.
    """

    phenotype: np.ndarray
    level: np.ndarray
    change: np.ndarray
    onset: np.ndarray
    duration: np.ndarray

    def take(self, rows: slice) -> "Course":
        """The illness of some of the stays."""
        return Course(
            self.phenotype[rows],
            self.level[rows],
            self.change[rows],
            self.onset[rows],
            self.duration[rows],
        )


def draw_courses(rng: np.random.Generator, earlier: np.ndarray) -> Course:
    """Draw the illness of N stays.

    Args:
        rng: The random numbers.
        earlier: int (N,), the number of the first stay of the same admission, which may be the
            stay itself. A later stay has the phenotype of the first one and a similar level.
    """
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
    """The log odds of death in the hospital, (N,).

    Args:
        course: The illness of N stays.
        age: (N,), years.
        rng: Draws the part of the odds that no variable shows.
    """
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
    """The strength of each factor by hour, (N, len(HOURS), 4), at least 0, where 0 is healthy."""
    progress = np.clip((HOURS - course.onset[:, None]) / course.duration[:, None], 0, 1)
    strength: np.ndarray = np.logaddexp(
        0, course.level[:, None, :] + course.change[:, None, :] * progress[:, :, None]
    )
    return strength


def correlated(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw standard normal numbers (*shape, 20) with the correlations of FOLLOWS."""
    draws = rng.standard_normal((*shape, len(VARIABLES)))
    for name, other, r in FOLLOWS:
        draws[..., COLUMN[name]] = (
            r * draws[..., COLUMN[other]] + np.sqrt(1 - r * r) * draws[..., COLUMN[name]]
        )
    return draws


def trajectories(ill: np.ndarray, baseline: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the true state of every variable by hour.

    Args:
        ill: The result of `illness`.
        baseline: (N, 20), the patient's own level, standard normal.
        rng: Draws the fluctuation in time.

    Returns:
        (N, len(HOURS), 20), in linear or log units.
    """
    table = {
        field: np.array([getattr(v, field) for v in VARIABLES])
        for field in ("centre", "between", "within", "persistence")
    }
    effects = np.array([v.effects for v in VARIABLES])
    # Hours are the first axis, so that each step of the recursion reads one block of memory.
    wave = correlated(rng, len(HOURS), len(ill))
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
    """Read E values off the true state, with the noise of a reading.

    Args:
        state: The result of `trajectories`.
        stay, variable: int (E,), which state is read.
        hour: (E,), when. Between two hours the state is interpolated.
        rng: Draws the noise.

    Returns:
        (E,), in clinical units, not rounded.
    """
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
