"""The prediction of one model for a cohort, and the two splits on which it is scored."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float


class Prediction(NamedTuple):
    """The prediction of one model for every stay of a cohort.

    log_odds: Log odds of death at the cohort's prevalence, not calibrated. They rank the stays.
    probability: Probability of death, calibrated out of fold.
    predicted: The decision by one threshold for all folds.
    """

    log_odds: Float[np.ndarray, " N"]
    probability: Float[np.ndarray, " N"]
    predicted: Bool[np.ndarray, " N"]


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
    return Prediction(log_odds, probability, predictions["predicted"].to_numpy())


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
