"""Intervals over subjects, and the statistics of comparing models. All are of held-out stays."""

from collections.abc import Iterator

import numpy as np

from icu_adversarial.model.scores import rank_scores, weighted_rank_scores

DRAWN = 2**22  # stays of all resamples worked on at once: 32 MB an array


def corrected_standard_error(values: np.ndarray, test_over_train: float) -> float:
    """The standard error of a mean over the folds of one cross-validation.

    The folds share most of their training stays, so their values are not independent. The
    variance of the values is multiplied by 1/k + n_test/n_train instead of by 1/k (Nadeau and
    Bengio 2003, Inference for the generalization error, Machine Learning 52:239-281).

    Args:
        values: One value for each of k folds, (k,).
        test_over_train: Number of test stays divided by number of training stays of a fold;
            1/(k-1) for plain cross-validation.

    Returns:
        The standard error in the unit of the values. NaN if k is 1 or a value is NaN.
    """
    if len(values) < 2:
        return float("nan")
    return float(np.sqrt((1 / len(values) + test_over_train) * np.var(values, ddof=1)))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values of several tests (Holm 1979, Scandinavian Journal of Statistics 6:65-70).

    Args:
        p_values: One p-value for each of m tests, (m,), in [0, 1].

    Returns:
        The adjusted p-values, (m,), in the order of p_values, in [0, 1]. Rejecting those of at
        most alpha keeps the chance of any false rejection at alpha or below.
    """
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(remaining * p_values[order]), 1)
    return adjusted


def paired_difference(
    died: np.ndarray,
    log_odds_a: np.ndarray,
    log_odds_b: np.ndarray,
    subject: np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """How much higher model A scores than model B on the same stays.

    Each resample draws subjects with replacement and scores both models on the same draw.

    Args:
        died: The outcome, (N,), 0 or 1.
        log_odds_a: Log odds of death by model A, (N,).
        log_odds_b: Log odds of death by model B, (N,).
        subject: The subject of each stay, (N,).
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


def resampled(subject: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Weights of the stays, float64 (R, N), in parts that sum to `resamples` rows: how often each
    resample of the subjects, with replacement, drew the subject of the stay."""
    _, index = np.unique(subject, return_inverse=True)
    subjects = int(index.max()) + 1
    rng, at_once = np.random.default_rng(seed), max(1, DRAWN // len(subject))
    for begin in range(0, resamples, at_once):
        size = min(at_once, resamples - begin)
        draws = rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=size)
        yield draws[:, index].astype(np.float64)


def with_interval(value: float, drawn: np.ndarray) -> dict[str, float | None]:
    """{value, low, high}: the 2.5th and 97.5th percentile of the finite resampled values."""
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return {"value": finite(value), "low": finite(low), "high": finite(high)}


def finite(value: float) -> float | None:
    """None for what JSON cannot hold."""
    return float(value) if np.isfinite(value) else None
