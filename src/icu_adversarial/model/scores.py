"""Losses, scores of ranking and the threshold: what training and the search need to know of a model."""

import numpy as np

EPSILON = 1e-7


def sigmoid(log_odds: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # below -709: 1 / inf is the 0 that it should be
        return 1 / (1 + np.exp(-np.asarray(log_odds, np.float64)))


def log_loss(died: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log likelihood; NaN if a probability is."""
    p = np.clip(probability, EPSILON, 1 - EPSILON)
    return float(-np.where(died == 1, np.log(p), np.log(1 - p)).mean())


def rank_scores(died: np.ndarray, log_odds: np.ndarray) -> tuple[float, float]:
    """AUROC and AUPRC (average precision). died, log_odds (any score that ranks): (N,)."""
    auroc, auprc = weighted_rank_scores(died, log_odds, np.ones((1, len(died))))
    return float(auroc[0]), float(auprc[0])


def weighted_rank_scores(
    died: np.ndarray, log_odds: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For every row of weight (R, N): AUROC (ties count half) and average precision.

    Average precision is the sum over thresholds of the gain in recall times the precision.
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


def best_threshold(died: np.ndarray, log_odds: np.ndarray) -> float:
    """The log odds above which calling a death gives the highest F1 on these (validation) stays.

    It lies between two stays, so that none lies on it. died, log_odds: (N,).
    """
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


def means_in_words(entries: list[dict[str, float]]) -> str:
    """What a line of the log says about an evaluation: each number's mean over the folds.

    Args:
        entries: The last entry of each fold's history.
    """
    names = {"train_loss": "train loss", "held_out_loss": "held-out loss"}
    names |= {"auroc": "AUROC", "auprc": "AUPRC"}
    means = {text: np.mean([entry[name] for entry in entries]) for name, text in names.items()}
    return ", ".join(f"{text} {mean:.4f}" for text, mean in means.items())
