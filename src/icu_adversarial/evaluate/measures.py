"""All scores of one model: with intervals over subjects, and over the folds. `results` calls it."""

import numpy as np

from icu_adversarial.evaluate.statistics import (
    DRAWN,
    corrected_standard_error,
    finite,
    resampled,
    with_interval,
)
from icu_adversarial.model.scores import EPSILON, weighted_rank_scores

BINS = 10  # of the calibration error and the reliability curve, of equal width
METRICS = (
    "auroc",
    "auprc",
    "f1",
    "precision",
    "recall",
    "accuracy",
    "loss",
    "brier",
    "calibration_error",
)


def bin_of(probability: np.ndarray) -> np.ndarray:
    return np.minimum((probability * BINS).astype(int), BINS - 1)


def scores(
    died: np.ndarray,
    log_odds: np.ndarray,
    probability: np.ndarray,
    predicted: np.ndarray,
    weight: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """All scores of METRICS.

    Args:
        died: The outcome, (N,), 0 or 1.
        log_odds: What ranks the stays, (N,): auroc and auprc use nothing else.
        probability: Calibrated probability of death, (N,): for loss, brier, calibration_error.
        predicted: The decision, (N,), 0 or 1: for f1, precision, recall and accuracy.
        weight: Weights of the stays, (R, N); by default one row of ones.

    Returns:
        By name, one value for every row of weight, (R,). NaN where a score is undefined, for
        example where no death was drawn.
    """
    died, predicted = died.astype(np.float64), predicted.astype(np.float64)
    weight = np.ones((1, len(died))) if weight is None else weight
    total = weight.sum(axis=1)
    auroc, auprc = weighted_rank_scores(died, log_odds, weight)
    hits, calls, deaths = weight @ (died * predicted), weight @ predicted, weight @ died
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    in_bin = np.eye(BINS)[bin_of(probability)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "auroc": auroc,
            "auprc": auprc,
            "f1": 2 * hits / (calls + deaths),
            "precision": hits / calls,
            "recall": hits / deaths,
            "accuracy": weight @ (died == predicted) / total,
            "loss": weight @ -np.where(died == 1, np.log(p), np.log(1 - p)) / total,
            "brier": weight @ (probability - died) ** 2 / total,
            "calibration_error": np.abs(weight @ (in_bin * (probability - died)[:, None])).sum(
                axis=1
            )
            / total,
        }


def with_intervals(
    died: np.ndarray,
    log_odds: np.ndarray,
    probability: np.ndarray,
    predicted: np.ndarray,
    subject: np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """Every score with its 95 % percentile interval over draws of the subjects with replacement.

    Args:
        died, log_odds, probability, predicted: As for `scores`, (N,).
        subject: The subject of each stay, (N,).
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        {score: {value, low, high}}; None for what is undefined.
    """
    model = (died, log_odds, probability, predicted)
    parts = [scores(*model, weight) for weight in resampled(subject, resamples, seed)]
    point = scores(*model)
    return {
        name: with_interval(point[name][0], np.concatenate([part[name] for part in parts]))
        for name in METRICS
    }


def error_if_perfect(probability: np.ndarray, *, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """The calibration error that a perfectly calibrated model of this size shows by chance.

    A finite number of stays has a calibration error above 0 even if every probability is right.
    The outcomes are drawn from the probabilities themselves.

    Args:
        probability: Probabilities of death, (N,).
        draws: Number of simulated cohorts.
        seed: Seed of the simulation.

    Returns:
        The calibration error of each simulated cohort, (draws,).
    """
    rng, at_once = np.random.default_rng(seed), max(1, DRAWN // len(probability))
    in_bin = np.eye(BINS)[bin_of(probability)]
    parts = []
    for begin in range(0, draws, at_once):
        size = (min(at_once, draws - begin), len(probability))
        excess = ((rng.random(size) < probability) - probability) @ in_bin
        parts.append(np.abs(excess).sum(axis=1) / len(probability))
    return np.concatenate(parts)


def over_folds(
    died: np.ndarray,
    log_odds: np.ndarray,
    probability: np.ndarray,
    predicted: np.ndarray,
    fold: np.ndarray,
    learn: np.ndarray | None = None,
) -> dict[str, dict[str, float | None]]:
    """Every score over the folds 0, 1, …; fold -1 is left out.

    Args:
        died, log_odds, probability, predicted: As for `scores`, (N,).
        fold: The fold that holds each stay out, (N,).
        learn: The stays that the models may learn from, (N,) bool; by default all.

    Returns:
        {score: {mean, sd, standard_error}}: the mean and standard deviation over the folds, and
        `corrected_standard_error` of the mean. calibration_error_if_perfect has a mean alone.
    """
    held_out = [fold == k for k in sorted(set(fold) - {-1})]
    each = [
        scores(died[rows], log_odds[rows], probability[rows], predicted[rows]) for rows in held_out
    ]
    ratio = held_out_ratio(fold, learn)
    result = {
        name: mean_and_error(np.concatenate([scored[name] for scored in each]), ratio)
        for name in METRICS
    }
    perfect = np.mean([error_if_perfect(probability[rows]).mean() for rows in held_out])
    return result | {"calibration_error_if_perfect": {"mean": finite(perfect)}}


def held_out_ratio(fold: np.ndarray, learn: np.ndarray | None = None) -> float:
    """Held-out stays divided by training stays, as the mean over the folds 0, 1, …; arguments as
    for `over_folds`."""
    allowed = fold >= 0 if learn is None else (fold >= 0) & learn
    folds = sorted(set(fold) - {-1})
    return float(np.mean([(fold == k).sum() / (allowed & (fold != k)).sum() for k in folds]))


def mean_and_error(values: np.ndarray, test_over_train: float) -> dict[str, float | None]:
    """{mean, sd, standard_error} of one value for each fold, as in `over_folds`. values: (k,)."""
    error = corrected_standard_error(values, test_over_train)
    summary = {"mean": values.mean(), "sd": values.std(ddof=1), "standard_error": error}
    return {name: finite(value) for name, value in summary.items()}
