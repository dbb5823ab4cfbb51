"""The curves behind the scores: tables for the figures of one model on one split. `results` calls it."""

import numpy as np
import pandas as pd

from icu_adversarial.model.evaluation import bin_of

CURVE_POINTS = 400


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
        {"bin": bin_of(probability), "predicted": probability, "observed": died}
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
