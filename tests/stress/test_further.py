"""The tables of all models: monotone in the number of edits, and the same as the single stays."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from stress_world import N, linear, make_question, part_of

from icu_adversarial.stress.further import FEWEST, Answers, further_answers, single_answers
from icu_adversarial.stress.reach import limits_of


@pytest.fixture(scope="module")
def answers() -> Answers:
    """The answers of two models in two folds."""
    question = make_question()
    other = question.model._replace(
        name="other", threshold=1.0, log_odds=lambda g, s: linear(g, s) / 2
    )
    rows = question.stays["fold"].to_numpy()
    parts = []
    for fold in (0, 1):
        own = np.flatnonzero(rows == fold)
        parts.append(
            single_answers(
                [question.model, other],
                part_of(question.records, own),
                question.grid[own],
                question.stays.iloc[own],
                limits=limits_of(question.grid),
                values=3,
                candidates=5,
            )
        )
    return further_answers(parts, 50, 1)


def test_more_values_flip_more_at_every_threshold(answers: Answers) -> None:
    table = answers.by_threshold
    assert set(table["kind"]) == {"edited", "omitted"}
    for _, part in table.groupby(["model", "kind", "own", "threshold"]):
        assert list(part["values"]) == [1, 2, 4]
        for name in ("flipped", "alarms_lost", "false_alarms", "fall", "rise"):
            assert part[name].is_monotonic_increasing, name


def test_at_a_model_s_own_threshold_the_shares_are_those_of_its_stays(answers: Answers) -> None:
    own = answers.by_threshold[answers.by_threshold["own"]]
    for row in own.itertuples():
        one = answers.reached
        one = one[(one["model"] == row.model) & (one["kind"] == row.kind)]
        one = one[one["values"] == row.values]
        alarm = one["before"] >= one["threshold"]
        other = np.where(
            alarm, one["lowest"] < one["threshold"], one["highest"] >= one["threshold"]
        )
        assert row.flipped == other.mean()
        assert row.stays == N
        assert row.rise == pytest.approx((expit(one["highest"]) - expit(one["before"])).mean())


def test_the_share_within_laboratory_error_is_that_of_the_stays(answers: Answers) -> None:
    everyone = answers.by_group[answers.by_group["division"] == "all"].set_index("model")
    for model, part in answers.laboratory.groupby("model"):
        assert everyone.loc[model, "share"] == (part["factor"] < 1).mean()
        assert everyone.loc[model, "low"] <= everyone.loc[model, "share"]
        assert everyone.loc[model, "high"] >= everyone.loc[model, "share"]


def test_groups_of_few_stays_are_left_out_and_no_group_names_a_stay(answers: Answers) -> None:
    tables = [answers.by_threshold, answers.by_measurement, answers.by_group]
    assert (pd.concat(tables)["stays"] >= FEWEST).all()
    assert not {"stay_id", "subject_id", "row"} & set(pd.concat(tables).columns)
