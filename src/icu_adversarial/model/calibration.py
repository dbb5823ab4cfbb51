"""Temperature and prior shift: log odds that mean what they say, fitted on predictions for stays that the model did not see."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from icu_adversarial.model.evaluation import sigmoid


class Calibration(NamedTuple):
    """Calibrated log odds = log odds / temperature + shift (Platt 1999; Guo et al. 2017 for the temperature alone)."""

    temperature: float
    shift: float

    def probability(self, log_odds: np.ndarray) -> np.ndarray:
        """Of death, float64 in the shape of log_odds."""
        return sigmoid(np.asarray(log_odds, np.float64) / self.temperature + self.shift)


def fit_calibration(log_odds: np.ndarray, died: np.ndarray) -> Calibration:
    """The temperature and shift of the least log loss. log_odds: (N,), out of fold; died: (N,) bool, both outcomes present.

    Log odds that rank the stays no better than chance (slope <= 0) tell nothing: the calibrated probability is then the prevalence.
    """
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
        np.asarray(log_odds, np.float64)[:, None], died
    )
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        prevalence = float(np.mean(died))
        return Calibration(np.inf, float(np.log(prevalence / (1 - prevalence))))
    return Calibration(1 / slope, shift)


def cross_fitted(log_odds: np.ndarray, died: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Calibrated probability of every stay, fitted on the other folds' out-of-fold log odds; for fold -1 (test), on all folds'. All: (N,)."""
    probability = np.empty(len(log_odds))
    for k in sorted(set(fold)):
        fitted_on = (fold >= 0) & (fold != k)
        probability[fold == k] = fit_calibration(log_odds[fitted_on], died[fitted_on]).probability(
            log_odds[fold == k]
        )
    return probability
