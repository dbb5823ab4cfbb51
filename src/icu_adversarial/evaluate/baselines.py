"""Logistic regression and gradient boosting on summaries of each measurement: what a network has
to beat. The stages that score the network call `search` and `predict`."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from joblib import delayed
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from icu_adversarial.config.baselines import Baselines
from icu_adversarial.config.tune_model import TuneModel
from icu_adversarial.core.parallel import workers
from icu_adversarial.evaluate.baseline_inputs import summaries, with_statics
from icu_adversarial.evaluate.results import Prediction
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.calibration import cross_fitted
from icu_adversarial.model.scores import best_threshold, log_loss, sigmoid
from icu_adversarial.search.space import encode, suggest

LOGGER = logging.getLogger(__name__)
BASELINES = ("logistic_regression", "gradient_boosting")
# Logistic regression reads each summary clipped to these percentiles of the training stays.
WINSORISED = (1, 99)


def _make(name: str, settings: dict[str, Any], seed: int) -> BaseEstimator:
    if name == "gradient_boosting":
        return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **settings)
    # Newton's method with the full Hessian converges to the last digits in a few steps.
    model = LogisticRegression(solver="newton-cholesky", tol=1e-8, **settings)
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)


def fitted(
    name: str,
    settings: dict[str, Any],
    x: np.ndarray,
    died: np.ndarray,
    learn: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Train one model and apply it to every stay.

    Args:
        name: One of BASELINES.
        settings: Its settings, as in `baselines` of params.yaml.
        x: Summaries and static inputs, (N, D); NaN = missing.
        died: The outcome, (N,), 0 or 1.
        learn: The training stays, bool (N,).
        seed: Seed of the summaries that each split of gradient boosting chooses from.

    Returns:
        Log odds of death of all stays, (N,).
    """
    # Gradient boosting refuses a summary that no training stay has.
    x = x[:, np.isfinite(x[learn]).any(axis=0)]
    if name == "logistic_regression":
        x = np.clip(x, *np.nanpercentile(x[learn], WINSORISED, axis=0))
    model = _make(name, settings, seed).fit(x[learn], died[learn])
    log_odds: np.ndarray = model.decision_function(x)
    return log_odds


def search(
    name: str,
    grid: np.ndarray,
    stays: pd.DataFrame,
    static_inputs: Sequence[str],
    options: Baselines,
    folds: TuneModel,
    seed: int,
) -> dict[str, Any]:
    """Choose the settings of a baseline by cross-validation within the stays that it is given.

    The settings `first` are tried first, if the ranges contain them, then settings drawn
    at random from the ranges. The lowest mean of the folds' held-out log loss wins, as in the
    search for the network.

    Args:
        name: One of BASELINES.
        grid: Values of these stays in clinical units, (N, T, 19); NaN = not observed.
        stays: Their rows of tables.COHORT: training stays and no others.
        static_inputs: `model.static_inputs` of params.yaml.
        options: `baselines` of params.yaml.
        folds: `tune_model` of params.yaml, for its folds and seeds and its number of trials.
        seed: Seed of the models.

    Returns:
        The settings, as in `baselines` of params.yaml.

    Raises:
        InputError: An outcome has fewer subjects than there are folds.
    """
    given, space = getattr(options.first, name).model_dump(), getattr(options.space, name)
    trials = folds.trials if options.trials is None else options.trials
    if trials == 0:
        return given
    died = stays["died"].to_numpy()
    fold = assign_folds(
        stays["subject_id"].to_numpy(), died, folds=folds.folds, seed=folds.fold_seed
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=folds.seed))
    if known := encode(given, space):
        study.enqueue_trial(known)
    tried = [suggest(study.ask(), space) for _ in range(trials)]
    x, parts = summaries(grid), [fold == k for k in range(folds.folds)]
    inputs = [with_statics(x, stays, ~part, static_inputs) for part in parts]
    log_odds = workers()(
        delayed(fitted)(name, settings, own, died, ~part, seed)
        for settings in tried
        for own, part in zip(inputs, parts, strict=True)
    )
    losses = [
        log_loss(died[part], sigmoid(z[part]))
        for z, part in zip(log_odds, parts * trials, strict=True)
    ]
    means = np.reshape(losses, (trials, -1)).mean(axis=1)
    for number, mean in enumerate(means, 1):
        LOGGER.info("%s: trial %d/%d, held-out loss %.4f", name, number, trials, mean)
    return tried[int(means.argmin())]


def predict(
    name: str,
    grid: np.ndarray,
    cohort: pd.DataFrame,
    static_inputs: Sequence[str],
    options: Baselines,
    folds: TuneModel,
    seed: int,
    learn: np.ndarray | None = None,
) -> Prediction:
    """Search the settings of a baseline, train it on each fold of the network, and predict.

    As with the network, a training stay has the prediction of the model that its fold had no part
    in, a test stay (fold -1) the mean of all folds' models in log odds. One threshold, that of the
    best F1 over all training stays out of fold, decides. The probability is calibrated out of
    fold.

    Args:
        name: One of BASELINES.
        grid: Values in clinical units, (N, T, 19); NaN = not observed.
        cohort: tables.COHORT.
        static_inputs: `model.static_inputs` of params.yaml.
        options: `baselines` of params.yaml.
        folds: `tune_model` of params.yaml.
        seed: Seed of the models.
        learn: The stays that may be trained on and searched with, bool (N,); by default all
            training stays.

    Returns:
        The prediction for every stay.

    Raises:
        InputError: An outcome has fewer subjects than the search has folds.
    """
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    training = fold >= 0
    allowed = training if learn is None else training & learn
    settings = search(name, grid[allowed], cohort[allowed], static_inputs, options, folds, seed)
    x = summaries(grid)
    held_out = [fold == k for k in sorted(set(fold[training]))]
    members = workers()(
        delayed(fitted)(
            name, settings, with_statics(x, cohort, learned, static_inputs), died, learned, seed
        )
        for learned in (allowed & ~part for part in held_out)
    )
    log_odds = np.mean(members, axis=0)
    for part, own in zip(held_out, members, strict=True):
        log_odds[part] = own[part]
    threshold = best_threshold(died[training], log_odds[training])
    return Prediction(log_odds, cross_fitted(log_odds, died, fold), log_odds > threshold)


def compared(
    grid: np.ndarray,
    cohort: pd.DataFrame,
    static_inputs: Sequence[str],
    options: Baselines,
    folds: TuneModel,
    seed: int,
) -> tuple[dict[str, dict[str, Any]], dict[str, Prediction]]:
    """Search the settings of every baseline once, on the training stays, and predict with them.

    Args:
        grid, cohort, static_inputs, options, folds, seed: As of `predict`.

    Returns:
        The chosen settings and the predictions, each by the names of BASELINES.
    """
    inside = cohort["fold"].to_numpy() >= 0
    shared = (static_inputs, options, folds, seed)
    settings = {n: search(n, grid[inside], cohort[inside], *shared) for n in BASELINES}
    chosen = (static_inputs, options.found(settings), folds, seed)
    return settings, {n: predict(n, grid, cohort, *chosen) for n in BASELINES}
