"""How good a prediction is: scores with bootstrap intervals over subjects, and the curves behind them. Never on resampled or training stays."""

import numpy as np
import pandas as pd

EPSILON = 1e-7
BINS = 10  # of the calibration error and the reliability curve, of equal width
CURVE_POINTS = 400
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
    in_bin = np.eye(BINS)[_bin(probability)]
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
    _, index = np.unique(subject, return_inverse=True)
    subjects = int(index.max()) + 1
    rng, at_once = np.random.default_rng(seed), max(1, DRAWN // len(died))
    parts = []
    for begin in range(0, resamples, at_once):
        draws = rng.multinomial(
            subjects, np.full(subjects, 1 / subjects), size=min(at_once, resamples - begin)
        )
        parts.append(scores(died, probability, predicted, draws[:, index].astype(np.float64)))
    point = scores(died, probability, predicted)
    result: dict[str, dict[str, float | None]] = {}
    for name in METRICS:
        drawn = np.concatenate([part[name] for part in parts])
        known = drawn[np.isfinite(drawn)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        result[name] = {"value": finite(point[name][0]), "low": finite(low), "high": finite(high)}
    return result


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


def _bin(probability: np.ndarray) -> np.ndarray:
    return np.minimum((probability * BINS).astype(int), BINS - 1)


def curves(died: np.ndarray, probability: np.ndarray) -> dict[str, pd.DataFrame]:
    """Tables `roc` (fpr, tpr), `precision_recall` (recall, precision) and `reliability` (predicted, observed, stays) of one model on one split.

    Of more than CURVE_POINTS thresholds, that many evenly spaced ones: a figure shows no more.
    """
    died = died.astype(int)
    order = np.argsort(-probability, kind="stable")
    last = np.r_[np.diff(probability[order]) != 0, True]
    hits = np.cumsum(died[order])[last]
    calls = np.arange(1, len(died) + 1)[last]
    deaths = died.sum()
    roc = pd.DataFrame(
        {"fpr": np.r_[0, (calls - hits) / (len(died) - deaths)], "tpr": np.r_[0, hits / deaths]}
    )
    precision_recall = pd.DataFrame({"recall": hits / deaths, "precision": hits / calls})
    grouped = pd.DataFrame(
        {"bin": _bin(probability), "predicted": probability, "observed": died}
    ).groupby("bin")
    reliability = grouped.agg(
        predicted=("predicted", "mean"), observed=("observed", "mean"), stays=("observed", "size")
    ).reset_index(drop=True)
    return {
        "roc": _thin(roc),
        "precision_recall": _thin(precision_recall),
        "reliability": reliability,
    }


def decision_curve(died: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    """Net benefit of acting on a predicted probability of at least `threshold` (Vickers and Elkin 2006), per stay.

    Columns threshold (0.01 .. 0.6), net_benefit, and treat_all, the benefit of acting on everybody; acting on nobody has 0. died, probability: (N,).
    """
    threshold = np.linspace(0.01, 0.6, 60)
    odds = threshold / (1 - threshold)
    called = probability[None] >= threshold[:, None]
    benefit = (called & died.astype(bool)).mean(axis=1) - odds * (called & ~died.astype(bool)).mean(
        axis=1
    )
    return pd.DataFrame(
        {
            "threshold": threshold.round(2),
            "net_benefit": benefit,
            "treat_all": died.mean() - odds * (1 - died.mean()),
        }
    )


def _thin(curve: pd.DataFrame) -> pd.DataFrame:
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, CURVE_POINTS).round().astype(int))]
