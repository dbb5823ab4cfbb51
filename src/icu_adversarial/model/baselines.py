"""Two models that are no recurrent networks, on summaries of each measurement over the window: what a network has to beat."""

import warnings

import numpy as np
from joblib import delayed
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from icu_adversarial.model.evaluation import best_threshold
from icu_adversarial.model.results import Prediction
from icu_adversarial.processes import workers


def summaries(grid: np.ndarray) -> np.ndarray:
    """Mean, minimum, maximum, standard deviation, last value and count of the observed hours. grid: (N, T, 19), NaN = not observed.

    Returns float32 (N, 6 x 19); NaN where nothing was observed, but for the count.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # measurements never observed: NaN is what is meant
        moments = [np.nanmean(grid, axis=1), np.nanmin(grid, axis=1), np.nanmax(grid, axis=1), np.nanstd(grid, axis=1)]
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


def predict(name: str, grid: np.ndarray, died: np.ndarray, fold: np.ndarray, seed: int) -> Prediction:
    """Train on the folds of the network, and on all of them for the test stays (fold -1); decide by the threshold of the best F1 out of fold."""
    x, training = summaries(grid), fold >= 0

    def fitted(held_out: np.ndarray, learn: np.ndarray) -> np.ndarray:
        seen = np.isfinite(x[learn]).any(axis=0)  # gradient boosting refuses a summary that no training stay has
        return _make(name, seed).fit(x[learn][:, seen], died[learn]).predict_proba(x[held_out][:, seen])[:, 1]

    splits = [(fold == k, training & (fold != k)) for k in sorted(set(fold[training]))] + [(~training, training)]
    probability = np.empty(len(died))
    for (held_out, _), p in zip(splits, workers()(delayed(fitted)(*split) for split in splits), strict=True):
        probability[held_out] = p
    threshold = best_threshold(died[training], probability[training])
    return Prediction(probability, probability > threshold)
