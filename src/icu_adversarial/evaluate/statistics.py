"""Intervals over subjects, and the statistics for comparing models on held-out stays."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int, Shaped

from icu_adversarial.model.scores import rank_scores, weighted_rank_scores

DRAWN = 2**22  # elements of one array of resamples: 32 MB


def corrected_standard_error(values: Float[np.ndarray, " K"], test_over_train: float) -> float:
    """Compute the standard error of a mean over the K folds of one cross-validation.

    The folds share most of their training stays, so their values are not independent. The
    variance of the values is multiplied by 1/K + n_test/n_train instead of by 1/K (Nadeau and
    Bengio 2003, Inference for the generalization error, Machine Learning 52:239-281).

    Args:
        values: One value for each fold.
        test_over_train: Number of test stays divided by number of training stays of a fold;
            1/(K-1) for plain cross-validation.

    Returns:
        The standard error in the unit of the values. NaN if K is 1 or a value is NaN.
    """
    if len(values) < 2:
        return float("nan")
    return float(np.sqrt((1 / len(values) + test_over_train) * np.var(values, ddof=1)))


def holm(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Adjust the p-values of several tests (Holm 1979, Scand. Journal of Statistics 6:65-70).

    Args:
        p_values: One p-value for each test, in [0, 1].

    Returns:
        The adjusted p-values, in [0, 1]. If all tests with an adjusted p-value of at most alpha
        are rejected, the probability of any false rejection is at most alpha.
    """
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(remaining * p_values[order]), 1)
    return adjusted


def paired_difference(
    died: Shaped[np.ndarray, " N"],
    log_odds_a: Float[np.ndarray, " N"],
    log_odds_b: Float[np.ndarray, " N"],
    subject: Int[np.ndarray, " N"],
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """Compute how much higher model A scores than model B on the same stays.

    Each resample draws subjects with replacement and scores both models on the same draw.

    Args:
        died: The outcome, 0 or 1.
        log_odds_a: Log odds of death by model A.
        log_odds_b: Log odds of death by model B.
        subject: The subject of each stay.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        For auroc and auprc, score of A minus score of B: value, low and high (95 % percentile
        interval) and standard_error (standard deviation over the resamples). None for what is
        undefined.
    """
    died = died.astype(np.float64)
    parts = [
        np.subtract(
            weighted_rank_scores(died, log_odds_a, w), weighted_rank_scores(died, log_odds_b, w)
        )
        for w in resampled(subject, resamples, seed)
    ]
    drawn = np.concatenate(parts, axis=1)
    point = np.subtract(rank_scores(died, log_odds_a), rank_scores(died, log_odds_b))
    result: dict[str, dict[str, float | None]] = {}
    for name, value, draws in zip(("auroc", "auprc"), point, drawn, strict=True):
        known = draws[np.isfinite(draws)]
        error = known.std(ddof=1) if len(known) > 1 else np.nan
        result[name] = with_interval(value, draws) | {"standard_error": finite(error)}
    return result


def resampled(
    subject: Int[np.ndarray, " N"], resamples: int, seed: int
) -> Iterator[Float[np.ndarray, "R N"]]:
    """Draw subjects with replacement.

    Args:
        subject: The subject of each stay.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Yields:
        How often each resample drew the subject of each stay. The parts have `resamples` rows in
        all.
    """
    _, index = np.unique(subject, return_inverse=True)
    subjects = int(index.max()) + 1
    rng, at_once = np.random.default_rng(seed), max(1, DRAWN // len(subject))
    for begin in range(0, resamples, at_once):
        size = min(at_once, resamples - begin)
        draws = rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=size)
        yield draws[:, index].astype(np.float64)


def with_interval(value: float, drawn: Float[np.ndarray, " R"]) -> dict[str, float | None]:
    """Add the 95 % percentile interval to a value.

    Args:
        value: The value on all stays.
        drawn: The values of the resamples. Those that are not finite are left out.

    Returns:
        value, low and high: the 2.5th and 97.5th percentile. None for what is undefined.
    """
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return {"value": finite(value), "low": finite(low), "high": finite(high)}


def finite(value: float) -> float | None:
    """The value, or None for NaN and infinities, which JSON cannot hold."""
    return float(value) if np.isfinite(value) else None
