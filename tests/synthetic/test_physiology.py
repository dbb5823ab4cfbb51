import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from literature_set import NAMES

from icu_adversarial.synthetic.physiology import (
    FACTORS,
    HOURS,
    PHENOTYPE_LEVELS,
    PHENOTYPES,
    Course,
    correlated,
    death_logit,
    draw_courses,
    illness,
    readings,
    trajectories,
)
from icu_adversarial.synthetic.variables import COLUMN, FOLLOWS, VARIABLES


def one_course(level: float, change: float, onset: float = 10.0, duration: float = 20.0) -> Course:
    return Course(
        np.zeros(1, int),
        np.full((1, 4), level),
        np.full((1, 4), change),
        np.array([onset]),
        np.array([duration]),
    )


def test_the_first_19_variables_are_the_measurements() -> None:
    assert tuple(COLUMN)[:19] == NAMES
    assert tuple(COLUMN)[19:] == ("hematocrit",)
    assert PHENOTYPE_LEVELS.shape == (len(PHENOTYPES), len(FACTORS))


def test_illness_moves_from_the_level_to_level_plus_change() -> None:
    """Known answer: log(1 + exp(level + change * progress)).

    The progress is 0 until hour 10, 1/2 at hour 20, and 1 from hour 30.
    """
    strength = illness(one_course(level=0.0, change=2.0))[0, :, 0]
    for hour, expected in ((-24, 0.0), (10, 0.0), (20, 1.0), (30, 2.0), (72, 2.0)):
        assert strength[hour - HOURS[0]] == pytest.approx(np.log1p(np.exp(expected)))


@given(
    level=arrays(float, (3, 4), elements=st.floats(-5, 5)),
    change=arrays(float, (3, 4), elements=st.floats(-4, 4)),
)
def test_illness_is_positive_and_monotone(level: np.ndarray, change: np.ndarray) -> None:
    strength = illness(Course(np.zeros(3, int), level, change, np.full(3, 5.0), np.full(3, 10.0)))
    assert (strength > 0).all()
    steps = np.diff(strength, axis=1)
    assert (steps * np.sign(change)[:, None, :] >= -1e-12).all()


def test_correlated_draws_are_standard_and_have_the_given_correlations() -> None:
    draws = correlated(np.random.default_rng(0), 40_000)
    assert np.abs(draws.mean(axis=0)).max() < 0.03
    assert np.abs(draws.std(axis=0) - 1).max() < 0.02
    found = np.corrcoef(draws.T)
    for name, other, r in FOLLOWS:
        expected = (
            -0.6 * np.sqrt(1 - 0.45**2) if (name, other) == ("ph", "pco2") else r
        )  # weakened by the row after it
        assert found[COLUMN[name], COLUMN[other]] == pytest.approx(expected, abs=0.02)
    assert found[COLUMN["sodium"], COLUMN["heartrate"]] == pytest.approx(0, abs=0.02)


def test_trajectories_have_the_table_s_centre_spread_persistence_and_effects() -> None:
    n, rng = 4000, np.random.default_rng(1)
    well = np.zeros((n, len(HOURS), 4))
    state = trajectories(well, np.zeros((n, len(VARIABLES))), rng)
    ill = well.copy()
    ill[:, :, FACTORS.index("renal")] = 1.0
    shifted = trajectories(ill, np.ones((n, len(VARIABLES))), np.random.default_rng(1))
    for column, v in enumerate(VARIABLES):
        assert state[:, :, column].mean() == pytest.approx(v.centre, abs=0.15 * v.within)
        assert state[:, 50, column].std() == pytest.approx(v.within, rel=0.06)
        assert np.corrcoef(state[:, 40, column], state[:, 41, column])[0, 1] == pytest.approx(
            v.persistence, abs=0.03
        )
        assert shifted[0, 0, column] - state[0, 0, column] == pytest.approx(
            v.between + v.effects[FACTORS.index("renal")]
        )


def test_readings_interpolate_the_state_and_undo_its_scale() -> None:
    """A state rises from z at hour 0 to z + 2 at hour 1. At hour 0.5 the median is that of z + 1."""
    size = 4000
    for name, z, expected in (
        ("sodium", 130.0, 131.0),
        ("bun", 2.0, np.exp(3.0)),
        ("spo2", 0.0, 100 - np.exp(1.0)),
    ):
        state = np.zeros((1, len(HOURS), len(VARIABLES)))
        state[0, HOURS == 0, COLUMN[name]], state[0, HOURS == 1, COLUMN[name]] = z, z + 2
        place = (np.zeros(size, int), np.full(size, 0.5), np.full(size, COLUMN[name]))
        values = readings(state, *place, np.random.default_rng(0))
        assert np.median(values) == pytest.approx(expected, rel=0.01)
        assert values.std() > 0


def test_readings_stay_within_what_a_body_can_have() -> None:
    state = np.full((1, len(HOURS), len(VARIABLES)), 400.0)
    for sign, end in ((1, "high"), (-1, "low")):
        column = np.arange(len(VARIABLES))
        values = readings(
            sign * state,
            np.zeros_like(column),
            np.full(len(column), 80.0),
            column,
            np.random.default_rng(0),
        )
        limits = [
            getattr(v, ("low" if end == "high" else "high") if v.scale == "from_100" else end)
            for v in VARIABLES
        ]
        assert values.tolist() == limits


def test_death_grows_likelier_with_level_change_and_age() -> None:
    def logit(level: float, change: float, age: float) -> float:
        return float(
            death_logit(one_course(level, change), np.array([age]), np.random.default_rng(0))[0]
        )

    usual = logit(0, 0, 65)
    assert logit(0.5, 0, 65) > usual
    assert logit(0, 0, 80) == pytest.approx(usual + 0.45)
    assert logit(0, 0.5, 65) > logit(0.5, 0, 65)  # the same end counts more when it is news


def test_two_organs_failing_together_are_worse_than_the_sum() -> None:
    def logit(*level: float) -> float:
        course = Course(
            np.zeros(1, int), np.array([level]), np.zeros((1, 4)), np.zeros(1), np.ones(1)
        )
        return float(death_logit(course, np.array([65.0]), np.random.default_rng(0))[0])

    alone = (logit(2, 0, 0, 0) - logit(0, 0, 0, 0)) + (logit(0, 2, 0, 0) - logit(0, 0, 0, 0))
    assert logit(2, 2, 0, 0) - logit(0, 0, 0, 0) > alone + 0.3


def test_stays_of_one_admission_share_phenotype_and_much_of_the_level() -> None:
    n = 3000
    earlier = np.arange(n) // 2 * 2
    course = draw_courses(np.random.default_rng(2), earlier)
    assert (course.phenotype[::2] == course.phenotype[1::2]).all()
    assert np.corrcoef(course.level[::2, 0], course.level[1::2, 0])[0, 1] > 0.85
    alone = draw_courses(np.random.default_rng(2), np.arange(n))
    assert abs(np.corrcoef(alone.level[::2, 0], alone.level[1::2, 0])[0, 1]) < 0.1
