"""Draw the stays of the synthetic hospital: subjects, ages, illness, deaths and times."""

from dataclasses import dataclass

import numpy as np

from icu_adversarial.synthetic.physiology import Course, death_logit, draw_courses

HOUR, DAY = 3600, 86400
FIRST_DAY = int(np.datetime64("2100-01-01", "s").astype(np.int64))
# Shares of the stays that open a subject, and an admission of a known subject. The others are
# returns to the ICU within the same admission.
NEW_SUBJECT, NEW_ADMISSION = 0.76, 0.17


@dataclass(frozen=True)
class Hospital:
    """All N stays, in order of subject and time. Every array has one value per stay, (N,).

    first_of_subject, first: Whether the stay is the first of its subject, and of its admission.
    last: Whether it is the last of its admission.
    subject, admission: Numbers from 0.
    age: Years at the subject's first admission.
    died: Whether the admission ends in death.
    admit, discharge: Times of the admission to the hospital, in seconds since 1970.
    intime, outtime: Times of the ICU stay, likewise.
    course: The illness.
    """

    first_of_subject: np.ndarray
    first: np.ndarray
    last: np.ndarray
    subject: np.ndarray
    admission: np.ndarray
    age: np.ndarray
    died: np.ndarray
    admit: np.ndarray
    intime: np.ndarray
    outtime: np.ndarray
    discharge: np.ndarray
    course: Course


def _hours(
    first: np.ndarray,
    last: np.ndarray,
    first_of_subject: np.ndarray,
    dies: np.ndarray,
    logit: np.ndarray,
    course: Course,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """How long everyone stays where.

    Returns:
        Hours at home, in the hospital before the ICU, in the ICU, and on a ward after it, (N, 4);
        and whether a stay ends with a death in the ICU, (N,).
    """
    n = len(first)
    illness = course.level.mean(axis=1) + 0.5 * course.change.mean(axis=1)
    alive_hours = np.exp(np.log(89) + 0.35 * illness + 0.55 * rng.standard_normal(n))
    alive_hours = np.where(rng.random(n) < 0.04, rng.uniform(3, 24, n), alive_hours)
    death_hours = np.exp(np.log(170) - 0.12 * (logit + 2) + 0.85 * rng.standard_normal(n))
    in_icu = dies & (rng.random(n) < 0.8)
    icu_hours = np.where(
        dies, np.where(in_icu, death_hours, death_hours * rng.uniform(0.3, 0.9, n)), alive_hours
    )
    icu_hours = np.clip(icu_hours, 2.5, 24 * 60)
    ward_hours = np.where(dies, np.maximum(death_hours - icu_hours, 1), 2 + rng.exponential(80, n))
    ward_hours = np.where(last & ~in_icu, ward_hours, 0)
    # at home, between two admissions
    away_hours = np.where(first & ~first_of_subject, 48 + rng.exponential(24 * 200, n), 0)
    # in the hospital, before the ICU
    before_hours = np.where(
        rng.random(n) < 0.6, rng.uniform(0.05, 1, n), 1 + rng.exponential(18, n)
    )
    before_hours = np.where(first, before_hours, 14 + rng.exponential(36, n))
    return np.stack([away_hours, before_hours, icu_hours, ward_hours], axis=1), in_icu


def admit(n: int, rng: np.random.Generator) -> Hospital:
    """Draw stays.

    About four of five meet the usual criteria (adult, 48 hours in the ICU, alive), and about 11 %
    of those die.

    Args:
        n: Number of stays, at least 1.
        rng: The random numbers.
    """
    kind = rng.random(n)
    kind[0] = 0
    opens_subject, first = kind < NEW_SUBJECT, kind < NEW_SUBJECT + NEW_ADMISSION
    person = np.cumsum(opens_subject) - 1
    adult = 18 + 79 * rng.beta(2.6, 1.6, n)
    age = np.where(rng.random(n) < 0.02, rng.uniform(14, 17.8, n), adult)[person]
    course = draw_courses(rng, np.maximum.accumulate(np.where(first, np.arange(n), 0)))

    last = np.roll(first, -1)
    logit = death_logit(course, age, rng)
    dies = last & (rng.random(n) < 1 / (1 + np.exp(-logit)))
    admission = np.cumsum(first) - 1
    died = np.bincount(admission, weights=dies)[admission] > 0
    # After a death, the next admission belongs to a new subject.
    first_of_subject = opens_subject | (first & np.roll(dies, 1))
    first_of_subject[0] = True

    hours, in_icu = _hours(first, last, first_of_subject, dies, logit, course, rng)
    seconds = np.rint(HOUR * hours).astype(np.int64)
    clock = np.cumsum(seconds.ravel()).reshape(n, 4)
    opening = np.maximum.accumulate(np.where(first_of_subject, np.arange(n), 0))
    arrival = (FIRST_DAY + rng.integers(0, 95 * 365 * DAY, n))[opening]
    clock += (arrival - (clock[:, 0] - seconds[:, 0])[opening])[:, None]
    intime, outtime = clock[:, 1], clock[:, 2]
    intime = np.where(rng.random(n) < 0.1, intime - intime % HOUR, intime)
    admit = np.minimum(clock[:, 0], intime)
    admit -= admit % 60
    discharge = clock[:, 3] + -clock[:, 3] % 60
    outtime = np.where(in_icu, discharge, outtime)
    start = np.flatnonzero(first)
    return Hospital(
        first_of_subject,
        first,
        last,
        np.cumsum(first_of_subject) - 1,
        admission,
        age,
        died,
        admit[start][admission],
        intime,
        outtime,
        discharge[np.flatnonzero(last)][admission],
        course,
    )
