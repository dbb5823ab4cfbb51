"""Who comes to the synthetic hospital, how ill, who dies of it, and when everyone moves."""

from dataclasses import dataclass

import numpy as np

from icu_adversarial.synthetic.physiology import Course, death_logit, draw_courses

HOUR, DAY = 3600, 86400
FIRST_DAY = int(np.datetime64("2100-01-01", "s").astype(np.int64))
NEW_SUBJECT, NEW_ADMISSION = (
    0.76,
    0.17,
)  # shares of stays; the rest return to the ICU within the same admission


@dataclass(frozen=True)
class Hospital:
    """All stays (N,), in order of subject and time. first_of_*: the stay opens its subject or admission; last: it closes its admission;
    subject, admission: number from 0; died: its admission ends in death; times in seconds since 1970, of the stay's admission and the stay."""

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


def admit(n: int, rng: np.random.Generator) -> Hospital:
    """Draw `n` >= 1 stays. About four of five meet the usual criteria (adult, 48 hours in the ICU, alive), and about 11 % of those die."""
    kind = rng.random(n)
    kind[0] = 0
    opens_subject, first = kind < NEW_SUBJECT, kind < NEW_SUBJECT + NEW_ADMISSION
    person = np.cumsum(opens_subject) - 1
    adult = 18 + 79 * rng.beta(2.6, 1.6, n)
    age = np.where(rng.random(n) < 0.02, rng.uniform(14, 17.8, n), adult)[
        person
    ]  # years at the subject's first admission
    course = draw_courses(rng, np.maximum.accumulate(np.where(first, np.arange(n), 0)))

    last = np.roll(first, -1)
    logit = death_logit(course, age, rng)
    dies = last & (rng.random(n) < 1 / (1 + np.exp(-logit)))
    admission = np.cumsum(first) - 1
    died = np.bincount(admission, weights=dies)[admission] > 0
    first_of_subject = opens_subject | (
        first & np.roll(dies, 1)
    )  # nobody comes back from the dead: the next admission is somebody else's
    first_of_subject[0] = True

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
    away_hours = np.where(
        first & ~first_of_subject, 48 + rng.exponential(24 * 200, n), 0
    )  # at home, between admissions
    before_hours = np.where(
        rng.random(n) < 0.6, rng.uniform(0.05, 1, n), 1 + rng.exponential(18, n)
    )
    before_hours = np.where(
        first, before_hours, 14 + rng.exponential(36, n)
    )  # in the hospital, before the ICU

    seconds = np.rint(
        HOUR * np.stack([away_hours, before_hours, icu_hours, ward_hours], axis=1)
    ).astype(np.int64)
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
        first_of_subject, first, last, np.cumsum(first_of_subject) - 1, admission, age, died, admit[start][admission], intime, outtime,
        discharge[np.flatnonzero(last)][admission], course,
    )  # fmt: skip
