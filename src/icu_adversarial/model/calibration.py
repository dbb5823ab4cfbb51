"""Platt scaling: probabilities that agree with the outcomes, fitted on stays not trained on.

`folds.predict` and `baselines` call it. Scores of ranking never use its probabilities.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from icu_adversarial.model.scores import sigmoid

# A network's log odds span about 20. With this slope the calibrated ones span 0.2: practically
# the prevalence for every stay, which is right where the slope would be 0 or negative, but still
# in the model's order.
SMALLEST_SLOPE = 0.01


class Calibration(NamedTuple):
    """Calibrated log odds = slope * log odds + shift (Platt 1999).

    slope: 1 / slope is the temperature of Guo et al. (2017).
    shift: What is added, in log odds.
    bounded: Whether the slope is SMALLEST_SLOPE because the best one is smaller.
    """

    slope: float
    shift: float
    bounded: bool = False

    def probability(self, log_odds: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """The probability of death, in float64."""
        return sigmoid(np.asarray(log_odds, np.float64) * self.slope + self.shift)


def fit_calibration(
    log_odds: Float[np.ndarray, " N"], died: Shaped[np.ndarray, " N"]
) -> Calibration:
    """Find the slope, at least SMALLEST_SLOPE, and the shift with the lowest log loss.

    Args:
        log_odds: Out-of-fold log odds of death.
        died: The outcome, 0 or 1. Both outcomes must occur.

    Returns:
        The calibration. Its mean probability is the share of deaths.
    """
    z = np.asarray(log_odds, np.float64)
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(z[:, None], died)
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope >= SMALLEST_SLOPE:
        return Calibration(slope, shift)
    share = float(np.mean(died))
    center, scaled = float(np.log(share / (1 - share))), SMALLEST_SLOPE * z

    def excess(shift: float) -> float:
        return float(sigmoid(scaled + shift).mean() - share)  # 0 where the log loss is lowest

    low, high = center - scaled.max() - 1, center - scaled.min() + 1
    return Calibration(SMALLEST_SLOPE, float(brentq(excess, low, high)), bounded=True)


def fit_by_fold(
    log_odds: Float[np.ndarray, " N"],
    died: Shaped[np.ndarray, " N"],
    fold: Int[np.ndarray, " N"],
) -> dict[int, Calibration]:
    """Fit a calibration for the stays of each fold.

    Args:
        log_odds: Log odds of death by models that did not see the stay.
        died: The outcome, 0 or 1.
        fold: The fold of each stay; -1 for the test set.

    Returns:
        The calibration by fold. That of a fold is fitted on the other folds, that of -1 on all.
    """
    chosen = {k: (fold >= 0) & (fold != k) for k in sorted({int(k) for k in fold})}
    return {k: fit_calibration(log_odds[rows], died[rows]) for k, rows in chosen.items()}


def cross_fitted(
    log_odds: Float[np.ndarray, " N"],
    died: Shaped[np.ndarray, " N"],
    fold: Int[np.ndarray, " N"],
) -> Float[np.ndarray, " N"]:
    """The calibrated probability of every stay. Arguments as for `fit_by_fold`."""
    probability = np.empty(len(log_odds))
    for k, calibration in fit_by_fold(log_odds, died, fold).items():
        probability[fold == k] = calibration.probability(log_odds[fold == k])
    return probability
