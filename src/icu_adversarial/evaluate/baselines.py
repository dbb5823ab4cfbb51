"""Logistic regression and gradient boosting on summaries of each measurement.

They are what the network is compared with. The stage evaluate and the study learning_curve call
them.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from jaxtyping import Bool, Float, Float32, Shaped
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
from icu_adversarial.evaluate.predictions import Prediction, challenge_decision
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.calibration import cross_fitted
from icu_adversarial.model.scores import best_threshold, log_loss, sigmoid
from icu_adversarial.search.space import encode, suggest

LOGGER = logging.getLogger(__name__)
BASELINES = ("logistic_regression", "gradient_boosting")
# Logistic regression reads each summary clipped to these percentiles of the training stays.
WINSORISED = (1, 99)


def _make(name: str, settings: dict[str, Any], seed: int) -> BaseEstimator:
    """The scikit-learn model. Arguments as for `fitted`."""
    if name == "gradient_boosting":
        return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **settings)
    # Newton's method with the full Hessian converges to machine precision in a few steps.
    model = LogisticRegression(solver="newton-cholesky", tol=1e-8, **settings)
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), model)


def fitted(
    name: str,
    settings: dict[str, Any],
    x: Float32[np.ndarray, "N D"],
    died: Shaped[np.ndarray, " N"],
    learn: Bool[np.ndarray, " N"],
    seed: int,
) -> Float[np.ndarray, " N"]:
    """Train one model and apply it to every stay.

    Args:
        name: One of BASELINES.
        settings: Its settings, as in `baselines` of params.yaml.
        x: Summaries and static inputs; NaN = missing.
        died: The outcome, 0 or 1.
        learn: The training stays.
        seed: Seed of the summaries that each split of gradient boosting chooses from.

    Returns:
        Log odds of death of all stays.
    """
    return fit(name, settings, x, died, learn, seed)(x)


def fit(
    name: str,
    settings: dict[str, Any],
    x: Float32[np.ndarray, "N D"],
    died: Shaped[np.ndarray, " N"],
    learn: Bool[np.ndarray, " N"],
    seed: int,
) -> Callable[[Float32[np.ndarray, "n D"]], Float[np.ndarray, " n"]]:
    """Train one model. Arguments as for `fitted`.

    Returns:
        A function from summaries and static inputs, (n, D), to log odds of death, (n,).
    """
    # Gradient boosting raises an error for a summary that no training stay has.
    known = np.isfinite(x[learn]).any(axis=0)
    limits = None
    if name == "logistic_regression":
        limits = np.nanpercentile(x[learn][:, known], WINSORISED, axis=0)

    def read(x: np.ndarray) -> np.ndarray:
        return x[:, known] if limits is None else np.clip(x[:, known], *limits)

    model = _make(name, settings, seed).fit(read(x[learn]), died[learn])
    return lambda x: np.asarray(model.decision_function(read(x)))


def search(
    name: str,
    grid: Float[np.ndarray, "N T M"],
    stays: pd.DataFrame,
    static_inputs: Sequence[str],
    options: Baselines,
    folds: TuneModel,
    seed: int,
) -> dict[str, Any]:
    """Choose the settings of a baseline by cross-validation within some training stays.

    The settings `first` are tried first, if the ranges contain them, then settings drawn at
    random from the ranges. The settings with the lowest mean of the folds' held-out log loss are
    chosen, as in the search for the network.

    Args:
        name: One of BASELINES.
        grid: Values of training stays in clinical units; NaN = not observed.
        stays: Their rows of schemas.COHORT.
        static_inputs: `model.static_inputs` of params.yaml.
        options: `baselines` of params.yaml.
        folds: `tune_model` of params.yaml: its folds, its seeds and its number of trials.
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
    grid: Float[np.ndarray, "N T M"],
    cohort: pd.DataFrame,
    static_inputs: Sequence[str],
    options: Baselines,
    folds: TuneModel,
    seed: int,
    learn: Bool[np.ndarray, " N"] | None = None,
) -> Prediction:
    """Search the settings of a baseline, train it on each fold of the network, and predict.

    As with the network, a training stay is predicted by the model that was trained without its
    fold. A test stay (fold -1) has the mean of all models' log odds. One threshold, which has the
    best F1 over all training stays out of fold, decides; another one, with the best
    challenge_score, decides for that score. The probability is calibrated out of fold.

    Args:
        name: One of BASELINES.
        grid: Values in clinical units; NaN = not observed.
        cohort: schemas.COHORT.
        static_inputs: `model.static_inputs` of params.yaml.
        options: `baselines` of params.yaml.
        folds: `tune_model` of params.yaml.
        seed: Seed of the models.
        learn: The stays that may be used for training and search; by default all training stays.

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
    challenge = challenge_decision(died, log_odds, training)
    return Prediction(log_odds, cross_fitted(log_odds, died, fold), log_odds > threshold, challenge)


def compared(
    grid: Float[np.ndarray, "N T M"],
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
