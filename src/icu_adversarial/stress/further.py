"""Edited values, omitted values and laboratory error: the tables of all models."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32
from scipy.special import expit

from icu_adversarial.evaluate.statistics import resampled, with_interval
from icu_adversarial.features.groups import groups
from icu_adversarial.records.recorded import Records
from icu_adversarial.stress.laboratory import factors
from icu_adversarial.stress.moves import Asked, Question, reach
from icu_adversarial.stress.omission import omissions, presence
from icu_adversarial.stress.reach import value_moves

COUNTS = (1, 2, 4)  # values that are edited or left out
THRESHOLDS = tuple(np.arange(5, 100, 5) / 100)  # probabilities from which on an alarm is given
FEWEST = 5  # stays of a group that is shown
RISKS = (0, 0.1, 0.2, 0.5, 1)  # ends of the groups of risk


class Answers(NamedTuple):
    """Tables of single stays, then tables of groups that name no stay.

    Attributes:
        reached: model, stay_id, subject_id, kind (edited or omitted), values, threshold, before,
            lowest and highest (log odds).
        laboratory: model, stay_id, subject_id, threshold, before and factor.
        by_threshold: model, kind, values, threshold (a probability), own (whether it is the
            model's own threshold), stays, alarms_lost, false_alarms, flipped (shares of the
            stays), fall and rise (mean change of the risk).
        by_measurement: model, measurement, stays, with_values and without (mean risk).
        by_group: model, division, group, stays, share (with a factor below 1), low and high.
    """

    reached: pd.DataFrame
    laboratory: pd.DataFrame
    by_threshold: pd.DataFrame
    by_measurement: pd.DataFrame
    by_group: pd.DataFrame


class Singles(NamedTuple):
    """The answers for single stays.

    Attributes:
        reached: As in `Answers`.
        laboratory: As in `Answers`, with the columns of schemas.COHORT.
        absent: As from `omission.presence`, with the column model.
    """

    reached: pd.DataFrame
    laboratory: pd.DataFrame
    absent: pd.DataFrame


def single_answers(
    models: Sequence[Asked],
    records: Records,
    grid: Float32[np.ndarray, "N T M"],
    stays: pd.DataFrame,
    *,
    limits: Float[np.ndarray, "2 M"],
    values: int,
    candidates: int,
) -> Singles:
    """Ask models about edited values, omitted values and laboratory error.

    Args:
        models: Models that never saw the stays.
        records: The recorded values of the stays.
        grid: The grid of the stays.
        stays: Their rows of schemas.COHORT.
        limits: As from `reach.limits_of`, of all training stays.
        values: New values that are tried for each recorded value.
        candidates: As for `moves.reach`.

    Returns:
        The tables.
    """
    reached, laboratory, absent = [], [], []
    about = stays.reset_index(drop=True)
    for model in models:
        question = Question(model, records, grid, stays, np.arange(len(stays)))
        before = question.before()
        told = about.assign(model=model.name, threshold=model.threshold, before=before)
        own = told[["stay_id", "subject_id", "model", "threshold", "before"]]
        kinds = {"edited": value_moves(question, limits, values), "omitted": omissions(question)}
        for kind, moves in kinds.items():
            found = reach(question, moves, COUNTS, candidates)
            reached += [
                own.assign(kind=kind, values=k, lowest=found[:, 0, i], highest=found[:, 1, i])
                for i, k in enumerate(COUNTS)
            ]
        laboratory.append(told.assign(factor=factors(question)))
        absent.append(presence(question).assign(model=model.name))
    return Singles(*(pd.concat(p, ignore_index=True) for p in (reached, laboratory, absent)))


def further_answers(parts: Sequence[Singles], resamples: int, seed: int) -> Answers:
    """Join the answers of the stays of all folds, and count them.

    Args:
        parts: The answers for the stays of each fold.
        resamples: Resamples of the subjects for the intervals.
        seed: Seed of the resamples.

    Returns:
        The tables.
    """
    reached, laboratory, absent = (
        pd.concat(part, ignore_index=True) for part in zip(*parts, strict=True)
    )
    return Answers(
        reached,
        laboratory[["model", "stay_id", "subject_id", "threshold", "before", "factor"]],
        by_threshold(reached),
        by_measurement(absent),
        by_group(laboratory, resamples, seed),
    )


def by_threshold(reached: pd.DataFrame) -> pd.DataFrame:
    """Count the decisions that change, for any threshold.

    Args:
        reached: As in `Answers`.

    Returns:
        As in `Answers`. For a model's own threshold, `threshold` is the mean over the folds.
    """
    parts = []
    for (model, kind, count), part in reached.groupby(["model", "kind", "values"], sort=True):
        before, low, high = (expit(part[name]) for name in ("before", "lowest", "highest"))
        for threshold in (None, *THRESHOLDS):
            limit = expit(part["threshold"]) if threshold is None else threshold
            lost, false = (before >= limit) & (low < limit), (before < limit) & (high >= limit)
            parts.append(
                {
                    "model": model,
                    "kind": kind,
                    "values": count,
                    "threshold": float(np.mean(limit)),
                    "own": threshold is None,
                    "stays": len(part),
                    "alarms_lost": lost.mean(),
                    "false_alarms": false.mean(),
                    "flipped": (lost | false).mean(),
                    "fall": (before - low).mean(),
                    "rise": (high - before).mean(),
                }
            )
    return pd.DataFrame(parts)


def by_measurement(absent: pd.DataFrame) -> pd.DataFrame:
    """The mean risk with and without the values of each measurement.

    Args:
        absent: As from `omission.presence`, with the column `model`.

    Returns:
        As in `Answers`. Measurements of fewer than FEWEST stays are left out.
    """
    risks = absent.assign(
        with_values=expit(absent["with_values"]), without=expit(absent["without"])
    )
    found = risks.groupby(["model", "measurement"], as_index=False).agg(
        stays=("row", "size"), with_values=("with_values", "mean"), without=("without", "mean")
    )
    return found[found["stays"] >= FEWEST].reset_index(drop=True)


def by_group(laboratory: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """The share of the stays whose decision changes within the allowable error.

    Args:
        laboratory: As in `Singles`.
        resamples: Resamples of the subjects for the intervals.
        seed: Seed of the resamples.

    Returns:
        As in `Answers`. Groups of fewer than FEWEST stays are left out.
    """
    parts = []
    for model, part in laboratory.groupby("model", sort=True):
        within = part["factor"].to_numpy() < 1
        divided = groups(part.reset_index(drop=True))
        labels = {name: group.to_numpy() for name, group in divided.items()}
        labels["all"] = np.full(len(part), "all")
        risk = pd.cut(expit(part["before"]), RISKS, include_lowest=True)
        labels["risk"] = risk.astype(str).to_numpy()
        weights = np.concatenate([*resampled(part["subject_id"].to_numpy(), resamples, seed)])
        for division, label in labels.items():
            for group in np.unique(label):
                own = label == group
                if own.sum() < FEWEST:
                    continue
                with np.errstate(invalid="ignore"):
                    drawn = weights[:, own] @ within[own] / weights[:, own].sum(1)
                score = with_interval(float(within[own].mean()), drawn)
                score["share"] = score.pop("value")
                about = {"model": model, "division": division, "group": group}
                parts.append(about | {"stays": int(own.sum())} | score)
    return pd.DataFrame(parts)
