import numpy as np
import pandas as pd

from icu_adversarial.features.cohort import select_cohort
from icu_adversarial.params import Preprocess

NAN = np.nan
RULES = Preprocess(min_age=18, min_hospital_hours=24, min_icu_hours=24, gap_hours=0, min_observed_cells=1)


def stays(**columns: list[float]) -> pd.DataFrame:
    """Stays that every rule keeps, but for the columns given."""
    n = len(next(iter(columns.values())))
    usual = {"age": 60.0, "admit_hour": -5.0, "discharge_hour": 200.0, "out_hour": 100.0, "death_hour": NAN}
    frame = pd.DataFrame({name: columns.get(name, [value] * n) for name, value in usual.items()})
    return frame.assign(stay_id=range(n), subject_id=range(n), died=frame["death_hour"].notna())


def kept(frame: pd.DataFrame, rules: Preprocess = RULES, cells: int = 10) -> list[bool]:
    return select_cohort(frame, np.full(len(frame), cells), 48, rules)[0].tolist()


def test_deaths_or_discharges_inside_the_window_is_ruled_out() -> None:
    assert kept(stays(death_hour=[47.9, 48.0, 48.1, NAN])) == [False, True, True, True]
    assert kept(stays(discharge_hour=[47.9, 48.0])) == [False, True]
    assert kept(stays(out_hour=[47.9, 48.0])) == [False, True]


def test_gap_hours_move_the_end() -> None:
    assert kept(stays(death_hour=[53.9, 54.0]), RULES.model_copy(update={"gap_hours": 6.0})) == [False, True]


def test_stay_with_unknown_times_and_age_is_kept() -> None:
    unknown = [NAN]
    assert kept(stays(age=unknown, admit_hour=unknown, discharge_hour=unknown, out_hour=unknown)) == [True]


def test_age_and_length_of_stay() -> None:
    assert kept(stays(age=[17.9, 18.0, 90.0])) == [False, True, True]
    assert kept(stays(admit_hour=[-5.0, 30.0], discharge_hour=[50.0, 50.0])) == [True, False]
    assert kept(stays(out_hour=[60.0, 80.0]), RULES.model_copy(update={"min_icu_hours": 72.0})) == [False, True]


def test_stay_without_an_observation_is_left_out_unless_allowed() -> None:
    assert kept(stays(age=[60.0]), cells=0) == [False]
    assert kept(stays(age=[60.0]), RULES.model_copy(update={"min_observed_cells": 0}), cells=0) == [True]


def test_flow_counts_every_exclusion_once() -> None:
    frame = stays(age=[10.0, 60.0, 60.0, 12.0], out_hour=[100.0, 20.0, 100.0, 20.0], death_hour=[NAN, NAN, 60.0, 61.0])
    mask, flow = select_cohort(frame, np.full(4, 5), 48, RULES)
    assert mask.tolist() == [False, False, True, False]
    assert flow["stays"].tolist() == [4, 2, 1, 1, 1, 1, 1, 1]
    assert flow["excluded"].tolist() == [0, 2, 1, 0, 0, 0, 0, 0]
    assert flow["deaths"].tolist() == [2, 1, 1, 1, 1, 1, 1, 1]
    assert flow["excluded"].sum() == (~mask).sum()
