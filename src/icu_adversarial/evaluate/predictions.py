"""The prediction of one model for a cohort, and the two splits on which it is scored."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from icu_adversarial.model.scores import challenge_threshold


class Prediction(NamedTuple):
    """The prediction of one model for every stay of a cohort.

    log_odds: Log odds of death at the cohort's prevalence, not calibrated. They rank the stays.
    probability: Probability of death, calibrated out of fold.
    predicted: The decision by one threshold for all folds, which has the best F1 out of fold.
    challenge: The decision by another one, which has the best challenge_score out of fold.
    """

    log_odds: Float[np.ndarray, " N"]
    probability: Float[np.ndarray, " N"]
    predicted: Bool[np.ndarray, " N"]
    challenge: Bool[np.ndarray, " N"]


def challenge_decision(
    died: Shaped[np.ndarray, " N"],
    log_odds: Float[np.ndarray, " N"],
    chooses: Bool[np.ndarray, " N"],
) -> Bool[np.ndarray, " N"]:
    """Decide by the threshold with the best challenge_score on some of the stays.

    Args:
        died: The outcome, 0 or 1.
        log_odds: Log odds of death.
        chooses: The stays that choose the threshold. No model has learned from them.

    Returns:
        Of which stays a death is predicted.
    """
    return log_odds > challenge_threshold(died[chooses], log_odds[chooses])


def from_table(predictions: pd.DataFrame, threshold: float) -> Prediction:
    """Take the prediction of the folds' models from their table.

    Args:
        predictions: schemas.PREDICTIONS.
        threshold: The threshold in model.json. The logits of the table are relative to it.

    Returns:
        The prediction, in the order of the table.
    """
    logit_0, logit_1, probability = (
        predictions[name].to_numpy(np.float64) for name in ("logit_0", "logit_1", "probability")
    )
    log_odds = logit_1 - logit_0 + threshold
    died, held_out = predictions["died"].to_numpy(), (predictions["split"] == "oof").to_numpy()
    challenge = challenge_decision(died, log_odds, held_out)
    return Prediction(log_odds, probability, predictions["predicted"].to_numpy(), challenge)


def splits(cohort: pd.DataFrame) -> dict[str, Bool[np.ndarray, " N"]]:
    """The stays that count for each split: "out of fold" and "test".

    Args:
        cohort: schemas.COHORT.

    Returns:
        The stays by the name of the split.
    """
    test = (cohort["fold"] == -1).to_numpy()
    return {"out of fold": ~test, "test": test}


def part(model: Prediction, chosen: Bool[np.ndarray, " N"]) -> Prediction:
    """The prediction for the chosen stays alone."""
    return Prediction(*(column[chosen] for column in model))
