"""All scores of one model: with intervals over subjects, and over the folds.

`results` calls it. The shapes use N for stays and R for resamples.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

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
    "challenge_score",
    "precision",
    "recall",
    "accuracy",
    "loss",
    "brier",
    "calibration_error",
)


def bin_of(probability: Float[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """Which of BINS bins of equal width holds each probability."""
    return np.minimum((probability * BINS).astype(int), BINS - 1)


def scores(
    died: Shaped[np.ndarray, " N"],
    log_odds: Float[np.ndarray, " N"],
    probability: Float[np.ndarray, " N"],
    predicted: Shaped[np.ndarray, " N"],
    challenge: Shaped[np.ndarray, " N"],
    weight: Float[np.ndarray, "R N"] | None = None,
) -> dict[str, Float[np.ndarray, " R"]]:
    """Compute all scores of METRICS.

    Args:
        died: The outcome, 0 or 1.
        log_odds: What ranks the stays, for auroc and auprc.
        probability: Calibrated probability of death, for loss, brier and calibration_error.
        predicted: The decision, 0 or 1, for f1, precision, recall and accuracy.
        challenge: The decision for challenge_score, the official score of the Challenge 2012:
            min(sensitivity, positive predictive value).
        weight: How often each stay counts; by default one row of ones.

    Returns:
        One value for every row of weight, by the name of the score. NaN where a score is
        undefined, for example where no death was drawn.
    """
    died, predicted = died.astype(np.float64), predicted.astype(np.float64)
    challenge = challenge.astype(np.float64)
    weight = np.ones((1, len(died))) if weight is None else weight
    total = weight.sum(axis=1)
    auroc, auprc = weighted_rank_scores(died, log_odds, weight)
    hits, calls, deaths = weight @ (died * predicted), weight @ predicted, weight @ died
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    in_bin = np.eye(BINS)[bin_of(probability)]
    excess = weight @ (in_bin * (probability - died)[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "auroc": auroc,
            "auprc": auprc,
            "f1": 2 * hits / (calls + deaths),
            # The same hits divided by the larger of calls and deaths.
            "challenge_score": weight @ (died * challenge) / np.maximum(weight @ challenge, deaths),
            "precision": hits / calls,
            "recall": hits / deaths,
            "accuracy": weight @ (died == predicted) / total,
            "loss": weight @ -np.where(died == 1, np.log(p), np.log(1 - p)) / total,
            "brier": weight @ (probability - died) ** 2 / total,
            "calibration_error": np.abs(excess).sum(axis=1) / total,
        }


def with_intervals(
    died: Shaped[np.ndarray, " N"],
    log_odds: Float[np.ndarray, " N"],
    probability: Float[np.ndarray, " N"],
    predicted: Shaped[np.ndarray, " N"],
    challenge: Shaped[np.ndarray, " N"],
    subject: Int[np.ndarray, " N"],
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """Compute every score with its 95 % percentile interval over resampled subjects.

    Args:
        died, log_odds, probability, predicted, challenge: As for `scores`.
        subject: The subject of each stay.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        {score: {value, low, high}}; None for what is undefined.
    """
    model = (died, log_odds, probability, predicted, challenge)
    parts = [scores(*model, weight) for weight in resampled(subject, resamples, seed)]
    point = scores(*model)
    return {
        name: with_interval(point[name][0], np.concatenate([part[name] for part in parts]))
        for name in METRICS
    }


def error_if_perfect(
    probability: Float[np.ndarray, " N"], *, draws: int = 1000, seed: int = 0
) -> Float[np.ndarray, " draws"]:
    """Simulate the calibration error of a perfectly calibrated model on as many stays.

    A finite number of stays has a calibration error above 0 even if every probability is right.
    The outcomes are drawn from the probabilities themselves.

    Args:
        probability: Probabilities of death.
        draws: Number of simulated cohorts.
        seed: Seed of the simulation.

    Returns:
        The calibration error of each simulated cohort.
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
    died: Shaped[np.ndarray, " N"],
    log_odds: Float[np.ndarray, " N"],
    probability: Float[np.ndarray, " N"],
    predicted: Shaped[np.ndarray, " N"],
    challenge: Shaped[np.ndarray, " N"],
    fold: Int[np.ndarray, " N"],
    learn: Bool[np.ndarray, " N"] | None = None,
) -> dict[str, dict[str, float | None]]:
    """Compute every score on each fold, and its mean over the folds. Fold -1 is left out.

    Args:
        died, log_odds, probability, predicted, challenge: As for `scores`.
        fold: The fold that holds each stay out.
        learn: The stays that the models were trained on; by default all.

    Returns:
        {score: {mean, sd, standard_error}}: the mean and standard deviation over the folds, and
        `corrected_standard_error` of the mean. calibration_error_if_perfect has a mean alone.
    """
    held_out = [fold == k for k in sorted(set(fold) - {-1})]
    each = [
        scores(*(column[rows] for column in (died, log_odds, probability, predicted, challenge)))
        for rows in held_out
    ]
    ratio = held_out_ratio(fold, learn)
    result = {
        name: mean_and_error(np.concatenate([scored[name] for scored in each]), ratio)
        for name in METRICS
    }
    perfect = np.mean([error_if_perfect(probability[rows]).mean() for rows in held_out])
    return result | {"calibration_error_if_perfect": {"mean": finite(perfect)}}


def held_out_ratio(
    fold: Int[np.ndarray, " N"], learn: Bool[np.ndarray, " N"] | None = None
) -> float:
    """The mean over the folds of held-out stays divided by training stays.

    Args:
        fold, learn: As for `over_folds`.
    """
    allowed = fold >= 0 if learn is None else (fold >= 0) & learn
    folds = sorted(set(fold) - {-1})
    return float(np.mean([(fold == k).sum() / (allowed & (fold != k)).sum() for k in folds]))


def mean_and_error(
    values: Float[np.ndarray, " K"], test_over_train: float
) -> dict[str, float | None]:
    """{mean, sd, standard_error} of one value for each of K folds, as in `over_folds`.

    Args:
        values, test_over_train: As for `corrected_standard_error`.
    """
    error = corrected_standard_error(values, test_over_train)
    summary = {"mean": values.mean(), "sd": values.std(ddof=1), "standard_error": error}
    return {name: finite(value) for name, value in summary.items()}
