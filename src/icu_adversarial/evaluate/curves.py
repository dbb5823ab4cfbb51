"""The curves behind the scores of one model on one split, as tables for the figures.

`results` calls it.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped
from scipy.stats import binomtest

from icu_adversarial.evaluate.measures import bin_of

CURVE_POINTS = 400  # thresholds of a curve; a figure shows no more


def rank_curves(
    died: Shaped[np.ndarray, " N"], log_odds: Float[np.ndarray, " N"]
) -> dict[str, pd.DataFrame]:
    """Compute the curves over the thresholds of the log odds.

    Args:
        died: The outcome, 0 or 1.
        log_odds: Log odds of death.

    Returns:
        `roc` (fpr, tpr) and `precision_recall` (recall, precision, prevalence: the share of
        deaths, which is the precision of a random order). If there are more than CURVE_POINTS
        thresholds, as many evenly spaced ones are kept.
    """
    died = died.astype(int)
    order = np.argsort(-log_odds, kind="stable")
    last = np.r_[np.diff(log_odds[order]) != 0, True]
    hits = np.cumsum(died[order])[last]
    calls = np.arange(1, len(died) + 1)[last]
    deaths = died.sum()
    roc = pd.DataFrame(
        {"fpr": np.r_[0, (calls - hits) / (len(died) - deaths)], "tpr": np.r_[0, hits / deaths]}
    )
    precision_recall = pd.DataFrame(
        {"recall": hits / deaths, "precision": hits / calls, "prevalence": died.mean()}
    )
    return {"roc": _thin(roc), "precision_recall": _thin(precision_recall)}


def reliability(
    died: Shaped[np.ndarray, " N"], probability: Float[np.ndarray, " N"]
) -> pd.DataFrame:
    """Compare the observed and the predicted share of deaths in bins of the probability.

    Args:
        died: The outcome, 0 or 1.
        probability: Probability of death.

    Returns:
        One row for each of BINS bins that has stays: predicted (mean probability), observed (share
        of deaths), low and high (Wilson's 95 % interval of observed), stays.
    """
    grouped = pd.DataFrame({"predicted": probability, "died": died.astype(int)}).groupby(
        bin_of(probability)
    )
    table = grouped.agg(
        predicted=("predicted", "mean"), deaths=("died", "sum"), stays=("died", "size")
    ).reset_index(drop=True)
    intervals = [
        binomtest(int(deaths), int(stays)).proportion_ci(method="wilson")
        for deaths, stays in zip(table["deaths"], table["stays"], strict=True)
    ]
    return table.assign(
        observed=table["deaths"] / table["stays"],
        low=[found.low for found in intervals],
        high=[found.high for found in intervals],
    )[["predicted", "observed", "low", "high", "stays"]]


def decision_curve(
    died: Shaped[np.ndarray, " N"], probability: Float[np.ndarray, " N"]
) -> pd.DataFrame:
    """Compute the net benefit per stay of acting on a probability of at least a threshold.

    Net benefit = true positives / N - odds of the threshold * false positives / N (Vickers and
    Elkin 2006, Medical Decision Making 26:565-574).

    Args:
        died: The outcome, 0 or 1.
        probability: Probability of death.

    Returns:
        threshold (0.01 to 0.6), net_benefit, and treat_all, the benefit of acting on every stay.
        Acting on none has the benefit 0.
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
    """At most CURVE_POINTS evenly spaced rows."""
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, CURVE_POINTS).round().astype(int))]
