"""From the answers to every error to tables: by error, by cell and by threshold, with intervals.

A stay has many recorded values. The number of flipped predictions per 1,000 stays supposes that
every stay has one error of a kind, at a recorded value that is drawn at random:

    1000 * mean over stays of (mean over the edits of the stay of [the decision changes])

The expected number of wrong predictions supposes that each recorded value has each error with its
published rate r, which is small, so that two errors in one record are left out:

    1000 * mean over stays of (sum over the edits of the stay of r * [the decision changes])

Errors that the plausible limits catch are counted apart. Intervals are 95 %, from resamples of the
subjects.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from icu_adversarial.stress.catalogue import ERRORS

# Alarm thresholds of the curve, as probability of death.
THRESHOLDS = np.round(np.arange(0.02, 0.601, 0.02), 2)
FEWEST = 5  # stays of a cell of the map


class Resamples:
    """Resamples of subjects, for means over stays.

    Args:
        subject: The subject of each stay, (N,).
        number: How many resamples.
        seed: Of the resamples.
    """

    def __init__(self, subject: np.ndarray, number: int, seed: int) -> None:
        _, self.row = np.unique(subject, return_inverse=True)
        subjects = int(self.row.max()) + 1
        rng = np.random.default_rng(seed)
        self.weights = rng.multinomial(subjects, np.full(subjects, 1 / subjects), number)

    def mean(self, value: np.ndarray) -> tuple[float, float, float]:
        """The mean of the values of the stays, NaN left out, and its interval."""
        known = np.isfinite(value)
        if not known.any():
            return (np.nan, np.nan, np.nan)
        sums, counts = (
            np.bincount(self.row, weights=part, minlength=self.weights.shape[1])
            for part in (np.where(known, value, 0), known)
        )
        drawn = self.weights @ counts
        means = (self.weights @ sums)[drawn > 0] / drawn[drawn > 0]
        low, high = np.percentile(means, [2.5, 97.5])
        return float(value[known].mean()), float(low), float(high)


def by_error(table: pd.DataFrame, model: str, stays: int, resamples: Resamples) -> pd.DataFrame:
    """Count what each kind of error does to the decisions of a model.

    Args:
        table: One row for each edit: stay, error, caught, before and after (whether the alarm is
            on).
        model: The name of the model.
        stays: Number of stays, N.
        resamples: Of their subjects.

    Returns:
        For each error: per_1000 with low and high, lost and false (its parts: alarms lost, false
        alarms), vulnerable (stays per 1,000 with at least one such edit that flips), caught (share
        of the edits that the limits catch), per_1000_caught, edits.
    """
    rows = []
    for error, about in ((name, ERRORS[name].about) for name in ERRORS):
        part = table[table["error"] == error]
        free, caught = part[~part["caught"]], part[part["caught"]]
        flips = _means(free, free["before"] != free["after"], stays)
        value, low, high = resamples.mean(flips)
        lost, false = (
            np.nanmean(_means(free, chosen, stays)) if len(free) else np.nan
            for chosen in (free["before"] & ~free["after"], ~free["before"] & free["after"])
        )
        hidden = _means(caught, caught["before"] != caught["after"], stays)
        rows.append(
            {
                "model": model,
                "error": about,
                "per_1000": 1000 * value,
                "low": 1000 * low,
                "high": 1000 * high,
                "lost": 1000 * lost,
                "false": 1000 * false,
                "vulnerable": 1000 * float((np.nan_to_num(flips) > 0).mean()),
                "edits": len(part),
                "caught": float(part["caught"].mean()) if len(part) else np.nan,
                "per_1000_caught": 1000 * np.nanmean(hidden) if len(caught) else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _means(part: pd.DataFrame, flag: pd.Series, stays: int) -> np.ndarray:
    """The share of each stay's edits that have a flag; NaN for a stay without edits."""
    stay = part["stay"].to_numpy()
    count = np.bincount(stay, minlength=stays)
    with np.errstate(invalid="ignore"):
        share: np.ndarray = np.bincount(stay, weights=flag, minlength=stays) / count
    return share


def expected(table: pd.DataFrame, stays: int, resamples: Resamples) -> dict[str, float]:
    """The expected number of wrong predictions per 1,000 stays, with an interval.

    Errors without a published rate, and those that the limits catch, are left out.

    Args:
        table, stays, resamples: As of `by_error`, with the column weight.
    """
    part = table[(table["before"] != table["after"]) & ~table["caught"]]
    sums = np.bincount(part["stay"], weights=part["weight"].fillna(0), minlength=stays)
    return dict(
        zip(("value", "low", "high"), (1000 * v for v in resamples.mean(sums)), strict=True)
    )


def by_cell(table: pd.DataFrame, names: Sequence[str], hours: range) -> pd.DataFrame:
    """The share of the edits at each cell that flip, over all kinds of errors.

    Args:
        table: As of `by_error`, with the columns measurement and bin.
        names: The measurements.
        hours: The first hour of each bin.

    Returns:
        hour, end_hour, measurement, patients (stays with an edit there), per_1000 (flips per 1,000
        errors at the cell), for each cell of the grid.
    """
    part = table[~table["caught"]]
    part = part.assign(flips=part["before"] != part["after"])
    found = part.groupby(["bin", "measurement"]).agg(
        per_1000=("flips", "mean"), patients=("stay", "nunique")
    )
    every = pd.MultiIndex.from_product(
        [range(len(hours)), range(len(names))], names=["bin", "measurement"]
    )
    found = found.reindex(every).reset_index()
    few = found["patients"].fillna(0) < FEWEST
    return pd.DataFrame(
        {
            "hour": found["bin"] * hours.step,
            "end_hour": (found["bin"] + 1) * hours.step,
            "measurement": np.array(names)[found["measurement"]],
            "patients": found["patients"].fillna(0).astype(int),
            "per_1000": (1000 * found["per_1000"]).mask(few),
        }
    )


def by_threshold(table: pd.DataFrame, model: str, stays: int) -> pd.DataFrame:
    """What one error does to the decisions of a model, for each alarm threshold.

    The kind of the error is drawn at random among the kinds that the stay can have, then the edit.

    Args:
        table: As of `by_error`, with risk_before and risk_after, the probabilities of death.
        model: The name of the model.
        stays: Number of stays, N.

    Returns:
        model, threshold, change (alarms lost or false alarms) and per_1000 stays.
    """
    part = table[~table["caught"]]
    kinds = part.groupby("stay")["error"].transform("nunique")
    weight = 1 / kinds / part.groupby(["stay", "error"])["event"].transform("size")
    weight = weight.to_numpy()
    before, after = part["risk_before"].to_numpy(), part["risk_after"].to_numpy()
    rows = []
    for threshold in THRESHOLDS:
        on, still = before >= threshold, after >= threshold
        for change, flags in (("alarms lost", on & ~still), ("false alarms", ~on & still)):
            number = 1000 * float(weight[flags].sum()) / stays
            rows.append((model, float(threshold), change, number))
    return pd.DataFrame(rows, columns=["model", "threshold", "change", "per_1000"])
