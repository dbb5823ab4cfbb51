"""The loss, the scores of ranking and the threshold of a model's predictions.

Training, the search and the evaluation call them. The shapes use N for stays and R for resamples.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped

EPSILON = 1e-7  # probabilities are limited to [EPSILON, 1 - EPSILON] before their logarithm


def sigmoid(log_odds: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Turn log odds into probabilities, in float64."""
    with np.errstate(over="ignore"):  # below -709, 1 / inf is 0, which is right
        return 1 / (1 + np.exp(-np.asarray(log_odds, np.float64)))


def log_loss(died: Shaped[np.ndarray, " N"], probability: Float[np.ndarray, " N"]) -> float:
    """Compute the mean negative log likelihood.

    Args:
        died: The outcome, 0 or 1.
        probability: Probability of death.

    Returns:
        The loss; NaN if a probability is NaN.
    """
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    return float(-np.where(died == 1, np.log(p), np.log(1 - p)).mean())


def rank_scores(
    died: Shaped[np.ndarray, " N"], log_odds: Float[np.ndarray, " N"]
) -> tuple[float, float]:
    """Compute AUROC and AUPRC (average precision).

    Args:
        died: The outcome, 0 or 1.
        log_odds: Any score that ranks the stays, larger for death.

    Returns:
        AUROC and AUPRC; NaN if one of the outcomes is missing.
    """
    auroc, auprc = weighted_rank_scores(died, log_odds, np.ones((1, len(died))))
    return float(auroc[0]), float(auprc[0])


def weighted_rank_scores(
    died: Shaped[np.ndarray, " N"],
    log_odds: Float[np.ndarray, " N"],
    weight: Float[np.ndarray, "R N"],
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """Compute AUROC and average precision for each row of weights.

    Ties count half in AUROC. Average precision is the sum over thresholds of the gain in recall
    times the precision.

    Args:
        died, log_odds: As for `rank_scores`.
        weight: How often each stay counts.

    Returns:
        AUROC and AUPRC; NaN where the weight of one of the outcomes is 0.
    """
    order = np.argsort(-log_odds, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(log_odds[order]) != 0])
    dead = np.add.reduceat(weight[:, order] * died[order], first, axis=1)
    alive = np.add.reduceat(weight[:, order] * (1 - died[order]), first, axis=1)
    deaths, survivors = dead.sum(axis=1, keepdims=True), alive.sum(axis=1, keepdims=True)
    above = np.cumsum(dead, axis=1)
    called = above + np.cumsum(alive, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = (alive * (above - dead / 2)).sum(axis=1) / (deaths * survivors)[:, 0]
        auprc = np.where(dead > 0, dead * above / called, 0).sum(axis=1) / deaths[:, 0]
    return auroc, auprc


def best_threshold(died: Shaped[np.ndarray, " N"], log_odds: Float[np.ndarray, " N"]) -> float:
    """Find the threshold with the highest F1.

    Args:
        died: The outcome of held-out stays, 0 or 1.
        log_odds: Their log odds of death.

    Returns:
        A value between the log odds of two stays; death is predicted above it.
    """
    return _threshold(died, log_odds, lambda calls, deaths: (calls + deaths) / 2)


def challenge_threshold(died: Shaped[np.ndarray, " N"], log_odds: Float[np.ndarray, " N"]) -> float:
    """Find the threshold with the highest score of the Challenge 2012.

    The score is min(sensitivity, positive predictive value). Arguments and result are those of
    `best_threshold`.
    """
    return _threshold(died, log_odds, np.maximum)


def _threshold(
    died: np.ndarray, log_odds: np.ndarray, size: Callable[[np.ndarray, int], np.ndarray]
) -> float:
    """The threshold with the largest hits / size(calls, deaths).

    Calls are the stays above a threshold, and hits the deaths among them.
    """
    order = np.argsort(-log_odds, kind="stable")
    values, hits = log_odds[order].astype(np.float64), np.cumsum(died[order], dtype=int)
    quality = hits / size(np.arange(1, len(died) + 1), hits[-1])
    last_of_tie = np.r_[np.diff(values) != 0, True]
    best = int(np.argmax(np.where(last_of_tie, quality, -1)))
    if best + 1 == len(values):
        return float(values[best] - 1)
    return float((values[best] + values[best + 1]) / 2)


def means_in_words(entries: list[dict[str, float]]) -> str:
    """Describe an evaluation in a line of the log: the mean of each number over the folds.

    Args:
        entries: The last entry of each fold's history.

    Returns:
        For example "train loss 0.3012, held-out loss 0.3520, AUROC 0.8412, AUPRC 0.4710".
    """
    names = {"train_loss": "train loss", "held_out_loss": "held-out loss"}
    names |= {"auroc": "AUROC", "auprc": "AUPRC"}
    means = {text: np.mean([entry[name] for entry in entries]) for name, text in names.items()}
    return ", ".join(f"{text} {mean:.4f}" for text, mean in means.items())
