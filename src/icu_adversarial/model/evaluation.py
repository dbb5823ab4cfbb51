"""How good a prediction is: scores with bootstrap intervals over subjects, and the curves behind them. Never on resampled or training stays."""

from collections.abc import Iterator

import numpy as np

EPSILON = 1e-7
BINS = 10  # of the calibration error and the reliability curve, of equal width
DRAWN = 2**22  # stays of all resamples worked on at once: 32 MB an array
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


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # below -709: 1 / inf is the 0 that it should be
        return 1 / (1 + np.exp(-np.asarray(log_odds, np.float64)))


def log_loss(died: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log likelihood; NaN if a probability is."""
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    return float(-np.where(died == 1, np.log(p), np.log(1 - p)).mean())


def rank_scores(died: np.ndarray, probability: np.ndarray) -> tuple[float, float]:
    """AUROC and AUPRC (average precision). died, probability: (N,)."""
    auroc, auprc = _rank_scores(died, probability, np.ones((1, len(died))))
    return float(auroc[0]), float(auprc[0])


def _rank_scores(
    died: np.ndarray, probability: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For every row of weight (R, N): AUROC (ties count half) and average precision (sum over thresholds of the gain in recall x precision)."""
    order = np.argsort(-probability, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(probability[order]) != 0])
    dead = np.add.reduceat(weight[:, order] * died[order], first, axis=1)
    alive = np.add.reduceat(weight[:, order] * (1 - died[order]), first, axis=1)
    deaths, survivors = dead.sum(axis=1, keepdims=True), alive.sum(axis=1, keepdims=True)
    above = np.cumsum(dead, axis=1)
    called = above + np.cumsum(alive, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = (alive * (above - dead / 2)).sum(axis=1) / (deaths * survivors)[:, 0]
        auprc = np.where(dead > 0, dead * above / called, 0).sum(axis=1) / deaths[:, 0]
    return auroc, auprc


def scores(
    died: np.ndarray,
    probability: np.ndarray,
    predicted: np.ndarray,
    weight: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """METRICS by name, each (R,): one value for every row of weight (R, N), by default one row of ones.

    died: (N,) 0 | 1; probability of death: (N,); predicted: (N,) the decision. A score that is undefined (no death drawn, say) is NaN.
    """
    died, predicted = died.astype(np.float64), predicted.astype(np.float64)
    weight = np.ones((1, len(died))) if weight is None else weight
    total = weight.sum(axis=1)
    auroc, auprc = _rank_scores(died, probability, weight)
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
    probability: np.ndarray,
    predicted: np.ndarray,
    subject: np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, float | None]]:
    """Every score as {value, low, high}: the 2.5th and 97.5th percentile over `resamples` draws of the subjects, with replacement.

    None for what is undefined. died, probability, predicted, subject: (N,)."""
    parts = [
        scores(died, probability, predicted, weight)
        for weight in _resamples(subject, resamples, seed)
    ]
    point = scores(died, probability, predicted)
    return {
        name: _with_interval(point[name][0], np.concatenate([part[name] for part in parts]))
        for name in METRICS
    }


def _resamples(subject: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Weights of the stays, float64 (R, N), in parts that sum to `resamples` rows: how often each
    resample of the subjects, with replacement, drew the subject of the stay."""
    _, index = np.unique(subject, return_inverse=True)
    subjects = int(index.max()) + 1
    rng, at_once = np.random.default_rng(seed), max(1, DRAWN // len(subject))
    for begin in range(0, resamples, at_once):
        size = min(at_once, resamples - begin)
        draws = rng.multinomial(subjects, np.full(subjects, 1 / subjects), size=size)
        yield draws[:, index].astype(np.float64)


def _with_interval(value: float, drawn: np.ndarray) -> dict[str, float | None]:
    """{value, low, high}: the 2.5th and 97.5th percentile of the finite resampled values."""
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    return {"value": finite(value), "low": finite(low), "high": finite(high)}


def over_folds(
    died: np.ndarray, probability: np.ndarray, predicted: np.ndarray, fold: np.ndarray
) -> dict[str, dict[str, float | None]]:
    """Every score as {mean, sd} over the folds 0, 1, …; fold -1 is left out."""
    each = [
        scores(died[fold == k], probability[fold == k], predicted[fold == k])
        for k in sorted(set(fold) - {-1})
    ]
    values = {name: np.concatenate([scored[name] for scored in each]) for name in METRICS}
    return {
        name: {"mean": finite(v.mean()), "sd": finite(v.std(ddof=1))} for name, v in values.items()
    }


def finite(value: float) -> float | None:
    """None for what JSON cannot hold."""
    return float(value) if np.isfinite(value) else None


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
        np.subtract(_rank_scores(died, log_odds_a, w), _rank_scores(died, log_odds_b, w))
        for w in _resamples(subject, resamples, seed)
    ]
    drawn = np.concatenate(parts, axis=1)
    point = np.subtract(rank_scores(died, log_odds_a), rank_scores(died, log_odds_b))
    result: dict[str, dict[str, float | None]] = {}
    for name, value, draws in zip(("auroc", "auprc"), point, drawn, strict=True):
        known = draws[np.isfinite(draws)]
        error = known.std(ddof=1) if len(known) > 1 else np.nan
        result[name] = _with_interval(value, draws) | {"standard_error": finite(error)}
    return result


def best_threshold(died: np.ndarray, log_odds: np.ndarray) -> float:
    """The log odds above which calling a death gives the highest F1 on these (validation) stays; between two stays, so that none lies on it."""
    order = np.argsort(-log_odds, kind="stable")
    values, hits = log_odds[order].astype(np.float64), np.cumsum(died[order], dtype=int)
    f1 = 2 * hits / (np.arange(1, len(died) + 1) + hits[-1])
    last_of_tie = np.r_[np.diff(values) != 0, True]
    best = int(np.argmax(np.where(last_of_tie, f1, -1)))
    return (
        float((values[best] + values[best + 1]) / 2)
        if best + 1 < len(values)
        else float(values[best] - 1)
    )


def bin_of(probability: np.ndarray) -> np.ndarray:
    return np.minimum((probability * BINS).astype(int), BINS - 1)
