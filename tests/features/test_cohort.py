import numpy as np
import pandas as pd
import pytest
from feature_tables import NAN, make_stays

from icu_adversarial.config.preprocess import Preprocess
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.outcomes import Outcome
from icu_adversarial.features.cohort import cohort_flow, cohort_rules, cohort_warning

DEATH = Outcome("hospital_death")
RULES = Preprocess(
    stays="all",
    min_age=18,
    min_hospital_hours=24,
    min_icu_hours=24,
    gap_hours=0,
    min_observed_cells=1,
)


def kept(frame: pd.DataFrame, window_hours: int = 48, **options: object) -> list[bool]:
    rules = cohort_rules(frame, window_hours, RULES.model_copy(update=options), DEATH)
    return np.all([*rules.values()], axis=0).tolist()


def test_deaths_or_discharges_inside_the_window_is_ruled_out() -> None:
    assert kept(make_stays(death_hour=[47.9, 48.0, 48.1, NAN])) == [False, True, True, True]
    assert kept(make_stays(discharge_hour=[47.9, 48.0])) == [False, True]
    assert kept(make_stays(out_hour=[47.9, 48.0])) == [False, True]


@pytest.mark.parametrize("window_hours", [24, 72])
def test_the_window_decides_where_it_ends(window_hours: int) -> None:
    assert kept(make_stays(out_hour=[window_hours - 0.1, window_hours]), window_hours) == [
        False,
        True,
    ]


def test_gap_hours_move_the_end() -> None:
    """The outcome has to lie behind window and gap: until then the patient is alive, in hospital and in the ICU."""
    for column in ("death_hour", "discharge_hour", "out_hour"):
        assert kept(make_stays(**{column: [53.9, 54.0]}), gap_hours=6.0) == [False, True], column


def test_a_stay_that_begins_after_the_recorded_death_has_its_own_row() -> None:
    frame = make_stays(death_hour=[-0.1, 0.0, 20.0, NAN], hadm_id=[1, 1, 2, 3])
    rules = cohort_rules(frame, 48, RULES.model_copy(update={"stays": "first_of_admission"}), DEATH)
    assert rules["alive at ICU admission"].tolist() == [False, True, True, True]
    flow = cohort_flow(frame, rules, {}).set_index("step")["excluded"]
    assert list(flow.index)[1] == "alive at ICU admission"
    assert flow["alive at ICU admission"] == 1
    assert flow["alive at hour 48"] == 2


def test_stay_with_unknown_times_and_age_is_kept() -> None:
    unknown = [NAN]
    assert kept(
        make_stays(age=unknown, admit_hour=unknown, discharge_hour=unknown, out_hour=unknown)
    ) == [True]


def test_age_and_length_of_stay() -> None:
    assert kept(make_stays(age=[17.9, 18.0, 90.0])) == [False, True, True]
    assert kept(make_stays(admit_hour=[-5.0, 30.0], discharge_hour=[50.0, 50.0])) == [True, False]
    assert kept(make_stays(out_hour=[60.0, 80.0]), min_icu_hours=72.0) == [False, True]


def test_a_stay_without_an_outcome_is_left_out() -> None:
    assert kept(make_stays(died=[True, None, False])) == [True, False, True]


def several_stays() -> pd.DataFrame:
    """Subject 1: two stays of admission 10, one of admission 11; subject 2: its second of two stays comes first by stay_id, in one admission."""
    return make_stays(
        stay_id=range(1, 6),
        subject_id=[1, 1, 1, 2, 2],
        hadm_id=[10, 10, 11, 20, 20],
        subject_order=[1, 2, 3, 2, 1],
    )


def test_one_stay_per_subject_or_admission() -> None:
    assert kept(several_stays()) == [True] * 5
    assert kept(several_stays(), stays="first_of_admission") == [True, False, True, False, True]
    assert kept(several_stays(), stays="first_of_subject") == [True, False, False, False, True]


def test_no_later_stay_takes_the_place_of_a_first_that_is_left_out() -> None:
    frame = several_stays().assign(out_hour=[20.0, 100.0, 100.0, 100.0, 100.0])
    assert kept(frame, stays="first_of_admission") == [False, False, True, False, True]
    assert kept(frame, stays="first_of_subject") == [False, False, False, False, True]


def test_a_stay_of_an_unknown_admission_is_the_first_of_its_own() -> None:
    frame = make_stays(
        subject_id=[1, 1, 1], hadm_id=pd.array([None, None, 7], "Int64"), subject_order=[1, 2, 3]
    )
    assert kept(frame, stays="first_of_admission") == [True, True, True]
    assert kept(frame, stays="first_of_subject") == [True, False, False]


def test_the_first_stay_of_an_admission_is_refused_where_there_are_no_admissions() -> None:
    frame = make_stays(age=[60.0, 60.0]).assign(hadm_id=pd.array([None, None], "Int64"))
    with pytest.raises(InputError, match=r"^preprocess\.stays: first_of_admission: these data"):
        kept(frame, stays="first_of_admission")
    assert kept(frame) == [True, True]


def test_stays_that_extract_left_out_are_in_the_flow() -> None:
    """Not in the table of stays, but counted: in the first row, and each reason in its own."""
    frame = make_stays(age=[60.0, 12.0], died=[True, False])
    flow = cohort_flow(frame, cohort_rules(frame, 48, RULES, DEATH), {"a patient": 2, "a unit": 3})
    assert flow["step"].tolist()[:4] == [
        "all ICU stays",
        "a patient",
        "a unit",
        "alive at ICU admission",
    ]
    assert flow["stays"].tolist()[:5] == [7, 5, 2, 2, 2]
    assert flow["excluded"].tolist()[:4] == [0, 2, 3, 0]
    assert flow["stays"].iloc[0] - flow["excluded"].sum() == flow["stays"].iloc[-1] == 1
    assert flow["deaths"].tolist()[:3] == [1, 1, 1]


def test_flow_counts_every_exclusion_once() -> None:
    frame = several_stays().assign(
        age=[60.0, 60.0, 60.0, 60.0, 12.0], death_hour=[NAN, NAN, 20.0, NAN, 300.0]
    )
    frame["died"] = frame["death_hour"].notna()
    rules = cohort_rules(frame, 48, RULES.model_copy(update={"stays": "first_of_admission"}), DEATH)
    flow = cohort_flow(
        frame, rules | {"observed cells ≥ 1": np.array([False, True, True, True, True])}, {}
    )
    assert list(
        flow[["step", "stays", "subjects", "deaths", "excluded"]].itertuples(index=False, name=None)
    ) == [
        ("all ICU stays", 5, 2, 2, 0),
        ("alive at ICU admission", 5, 2, 2, 0),
        ("first ICU stay of the admission", 3, 2, 2, 2),
        ("outcome known", 3, 2, 2, 0),
        ("age ≥ 18 years", 2, 1, 1, 1),
        ("in hospital for 24 h", 2, 1, 1, 0),
        ("in the ICU for 24 h", 2, 1, 1, 0),
        ("alive at hour 48", 1, 1, 0, 1),
        ("in hospital at hour 48", 1, 1, 0, 0),
        ("in the ICU at hour 48", 1, 1, 0, 0),
        ("observed cells ≥ 1", 0, 0, 0, 1),
    ]
    assert flow["order"].tolist() == list(range(11))


def test_the_rule_that_is_not_used_is_not_in_the_flow() -> None:
    steps = list(cohort_rules(make_stays(age=[60.0]), 48, RULES, DEATH))
    assert not [step for step in steps if step.startswith("first")]


def test_flow_with_unknown_outcomes_counts_the_known_deaths() -> None:
    frame = make_stays(died=[True, None, False])
    flow = cohort_flow(frame, cohort_rules(frame, 48, RULES, DEATH), {})
    assert flow["deaths"].tolist()[:3] == [1, 1, 1]
    assert flow["excluded"].tolist()[:3] == [0, 0, 1]


@pytest.mark.parametrize(
    ("stays", "deaths", "test_deaths", "warned"),
    [
        (500, 150, 20, False),
        (500, 20, None, False),
        (499, 100, 30, True),
        (500, 151, 30, True),
        (500, 19, None, True),
        (500, 100, 19, True),
        (74, 16, 2, True),
    ],
)
def test_a_cohort_that_shows_nothing_is_warned_of_in_one_sentence(
    stays: int, deaths: int, test_deaths: int | None, warned: bool
) -> None:
    sentence = cohort_warning(stays, deaths, test_deaths)
    assert (sentence is not None) == warned
    if sentence is not None:
        assert f"{stays} stays, {deaths} with the outcome" in sentence
        assert ("in the test set:" in sentence) == (test_deaths is not None)
        assert "\n" not in sentence
        assert not sentence.endswith(".")


def test_a_rule_on_what_is_never_recorded_says_so() -> None:
    frame = make_stays(out_hour=[NAN, NAN], age=[70.0, NAN])
    names = [*cohort_rules(frame, 48, RULES, DEATH)]
    assert "in the ICU for 24 h (not recorded)" in names
    assert "age ≥ 18 years" in names
    assert kept(frame, min_icu_hours=500) == [True, True]
