"""The scores of a model in each group of patients, with intervals over subjects."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from icu_adversarial.evaluate.measures import with_intervals
from icu_adversarial.features.cohort import FEWEST_DEATHS
from icu_adversarial.features.groups import groups, in_order

SHOWN = ("auroc", "auprc", "challenge_score", "recall", "precision", "calibration_error")


def subgroup_scores(
    cohort: pd.DataFrame,
    log_odds: Float[np.ndarray, " N"],
    probability: Float[np.ndarray, " N"],
    predicted: Shaped[np.ndarray, " N"],
    challenge: Shaped[np.ndarray, " N"],
    *,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Compute the scores of each group.

    A score that needs both outcomes has no value in a group with one outcome. Its interval is
    that of the resamples with both outcomes.

    Args:
        cohort: Rows of schemas.COHORT, for example those of the test set.
        log_odds, probability, predicted, challenge: As for `measures.scores`.
        resamples: Number of resamples of the subjects.
        seed: Seed of the resamples.

    Returns:
        One row per division, group and score of SHOWN: stays, deaths, few (1 if the group has
        fewer than FEWEST_DEATHS deaths or survivors, else 0), value, low and high (95 %).
    """
    rows: list[dict[str, Any]] = []
    for division, member in groups(cohort).items():
        for group in in_order(member):
            inside = (member == group).to_numpy()
            died, subject = (cohort[name].to_numpy()[inside] for name in ("died", "subject_id"))
            scored = with_intervals(
                died,
                log_odds[inside],
                probability[inside],
                predicted[inside],
                challenge[inside],
                subject,
                resamples=resamples,
                seed=seed,
            )
            about = {
                "division": division,
                "group": group,
                "stays": int(inside.sum()),
                "deaths": int(died.sum()),
                "few": int(min(died.sum(), len(died) - died.sum()) < FEWEST_DEATHS),
            }
            rows += [about | {"score": score} | scored[score] for score in SHOWN]
    return pd.DataFrame(rows)
