import numpy as np
import pandas as pd
import pytest

from icu_adversarial.evaluate.curves import decision_curve
from icu_adversarial.evaluate.subgroups import subgroup_scores
from icu_adversarial.model.scores import rank_scores


def cohort() -> pd.DataFrame:
    n = 400
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "subject_id": np.arange(n),
            "died": rng.random(n) < 0.3,
            "age": np.resize(
                np.array([18, 44.9, 45, 64.9, 65, 79.9, 80, 90, np.nan], np.float32), n
            ),
            "sex": np.resize(["F", "M"], n),
            "icu_type": np.resize(["CCU", None, "MICU"], n),
            "source_group": "set-a",
        }
    )


def test_every_group_is_scored_on_its_own_stays() -> None:
    stays = cohort()
    probability = np.clip(
        np.where(stays["died"], 0.6, 0.4) + np.random.default_rng(1).normal(0, 0.2, len(stays)),
        0,
        1,
    )
    probability[stays["sex"] == "M"] = 0.5  # nothing is known of men
    table = subgroup_scores(
        stays, *[probability] * 2, *[probability > 0.5] * 2, resamples=50, seed=0
    ).set_index(["division", "group", "score"])
    women = (stays["sex"] == "F").to_numpy()
    assert table.loc[("sex", "M", "auroc"), ["value", "low", "high"]].tolist() == [0.5, 0.5, 0.5]
    assert table.loc[("sex", "F", "auroc"), "value"] == pytest.approx(
        rank_scores(stays["died"].to_numpy()[women], probability[women])[0]
    )
    assert (
        table.loc[("sex", "F", "auroc"), "low"]
        < table.loc[("sex", "F", "auroc"), "value"]
        < table.loc[("sex", "F", "auroc"), "high"]
    )
    called = (probability > 0.5) & women
    right = (called & stays["died"]).sum()
    assert table.loc[("sex", "F", "challenge_score"), "value"] == pytest.approx(
        min(right / called.sum(), right / (women & stays["died"]).sum())
    )
    assert table.xs("auroc", level="score").groupby("division")["stays"].sum().eq(len(stays)).all()


def test_a_group_without_deaths_has_no_auroc() -> None:
    stays = cohort().assign(died=lambda s: s["died"] & (s["sex"] == "F"))
    table = subgroup_scores(
        stays,
        *np.full((2, len(stays)), 0.5),
        *np.zeros((2, len(stays)), bool),
        resamples=20,
        seed=0,
    )
    few = table.set_index("group")["few"]
    assert few["M"].eq(1).all()  # no deaths
    assert few["F"].eq(0).all()
    assert table[(table["group"] == "M") & (table["score"] == "auroc")]["value"].isna().all()


def test_net_benefit_by_hand() -> None:
    """Four stays at a threshold of 0.2, odds 1/4: called are one death and one survivor."""
    died, probability = np.array([True, True, False, False]), np.array([0.9, 0.1, 0.3, 0.05])
    curve = decision_curve(died, probability).set_index("threshold")
    assert curve.loc[0.2, "net_benefit"] == pytest.approx(1 / 4 - 1 / 4 * 1 / 4)
    assert curve.loc[0.2, "treat_all"] == pytest.approx(2 / 4 - 2 / 4 * 1 / 4)
    assert curve.loc[0.5, "net_benefit"] == pytest.approx(1 / 4)
