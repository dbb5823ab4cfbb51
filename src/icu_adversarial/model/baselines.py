"""Two models that are no recurrent networks, on summaries of each measurement over the window: what a network has to beat."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from joblib import delayed
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from icu_adversarial.features.statics import fit_statics
from icu_adversarial.model.calibration import cross_fitted
from icu_adversarial.model.evaluation import EPSILON, best_threshold
from icu_adversarial.model.results import Prediction
from icu_adversarial.processes import workers


def summaries(grid: np.ndarray) -> np.ndarray:
    """Mean, minimum, maximum, standard deviation, last value and count of the observed hours. grid: (N, T, 19), NaN = not observed.

    Returns float32 (N, 6 x 19); NaN where nothing was observed, but for the count.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # measurements never observed: NaN is what is meant
        moments = [
            np.nanmean(grid, axis=1),
            np.nanmin(grid, axis=1),
            np.nanmax(grid, axis=1),
            np.nanstd(grid, axis=1),
        ]
    seen = np.isfinite(grid)
    last = grid.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    moments.append(np.take_along_axis(np.asarray(grid), last[:, None], axis=1)[:, 0])
    return np.concatenate([*moments, seen.sum(axis=1)], axis=1).astype(np.float32)


def _make(name: str, seed: int) -> BaseEstimator:
    if name == "gradient_boosting":
        return HistGradientBoostingClassifier(random_state=seed)
    imputer = SimpleImputer(strategy="median")
    return make_pipeline(imputer, StandardScaler(), LogisticRegression(max_iter=2000))


BASELINES = ("logistic_regression", "gradient_boosting")


def with_statics(
    x: np.ndarray, stays: pd.DataFrame, learn: np.ndarray, static_inputs: Sequence[str]
) -> np.ndarray:
    """x (N, D) and the static inputs side by side. stays: tables.COHORT; learn: bool (N,), the training stays, which fit the static inputs."""
    return np.concatenate([x, fit_statics(stays[learn], static_inputs).apply(stays)], axis=1)


def fitted(name: str, x: np.ndarray, died: np.ndarray, learn: np.ndarray, seed: int) -> np.ndarray:
    """Probability of death of every stay, (N,), by a model that was trained on those of `learn`. x: (N, D)."""
    seen = np.isfinite(x[learn]).any(
        axis=0
    )  # gradient boosting refuses a summary that no training stay has
    return _make(name, seed).fit(x[learn][:, seen], died[learn]).predict_proba(x[:, seen])[:, 1]


def predict(
    name: str,
    grid: np.ndarray,
    stays: pd.DataFrame,
    static_inputs: Sequence[str],
    seed: int,
    learn: np.ndarray | None = None,
) -> Prediction:
    """Train on the folds of the network, and on all of them for the test stays (fold -1). As with the network, one
    threshold has the best F1 on all out-of-fold stays, and the probabilities are calibrated out of fold.

    grid: (N, T, 19); stays: tables.COHORT. static_inputs: as the network's. learn: bool (N,), the stays that may be trained on, by default all.
    """
    died, fold = stays["died"].to_numpy(), stays["fold"].to_numpy()
    x, training = summaries(grid), fold >= 0
    allowed = training if learn is None else training & learn
    probability = np.empty(len(died))
    held_out = [fold == k for k in sorted(set(fold))]
    jobs = [(allowed & ~part, part) for part in held_out]
    results = workers()(
        delayed(fitted)(name, with_statics(x, stays, learned, static_inputs), died, learned, seed)
        for learned, _ in jobs
    )
    for (_, part), p in zip(jobs, results, strict=True):
        probability[part] = p[part]
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    log_odds = np.log(p / (1 - p))
    threshold = best_threshold(died[training], log_odds[training])
    return Prediction(log_odds, cross_fitted(log_odds, died, fold), log_odds > threshold)
