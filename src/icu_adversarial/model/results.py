"""Several models' predictions for one cohort → their scores, and the tables of their figures."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from icu_adversarial.model.curves import curves, decision_curve
from icu_adversarial.model.evaluation import over_folds, scores, with_intervals
from icu_adversarial.model.subgroups import subgroup_scores

CALIBRATION = ("calibration_error", "brier", "loss")


class Prediction(NamedTuple):
    """Of every stay of a cohort, out of fold for the training stays.

    log_odds: of death, (N,), which rank the stays: not calibrated, on one scale over the folds.
    probability: of death, (N,), calibrated out of fold. predicted: the decision by one threshold
    for all folds, bool (N,).
    """

    log_odds: np.ndarray
    probability: np.ndarray
    predicted: np.ndarray


def splits(cohort: pd.DataFrame) -> dict[str, np.ndarray]:
    """The stays, bool (N,), that count for each split. cohort: tables.COHORT."""
    test = (cohort["fold"] == -1).to_numpy()
    return {"out of fold": ~test, "test": test}


def model_scores(
    models: Mapping[str, Prediction], cohort: pd.DataFrame, *, resamples: int, seed: int
) -> dict[str, Any]:
    """By model, on the `test` set with intervals over subjects, and over the `folds` as mean and sd. cohort: tables.COHORT, in the models' order."""
    died, fold, subject = (cohort[column].to_numpy() for column in ("died", "fold", "subject_id"))
    test = splits(cohort)["test"]
    return {
        "test": {
            name: with_intervals(
                died[test],
                probability[test],
                predicted[test],
                subject[test],
                resamples=resamples,
                seed=seed,
            )
            for name, (_, probability, predicted) in models.items()
        },
        "folds": {
            name: over_folds(died, probability, predicted, fold)
            for name, (_, probability, predicted) in models.items()
        },
    }


def curve_tables(
    probabilities: Mapping[str, np.ndarray], cohort: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The tables `roc`, `precision_recall`, `reliability` and `decision`, with the columns split and curve (the model)."""
    died = cohort["died"].to_numpy()
    tables: dict[str, list[pd.DataFrame]] = {}
    for name, probability in probabilities.items():
        for split, chosen in splits(cohort).items():
            shown = curves(died[chosen], probability[chosen]) | {
                "decision": decision_curve(died[chosen], probability[chosen])
            }
            for curve, table in shown.items():
                tables.setdefault(curve, []).append(
                    table.assign(split=split, curve=name.replace("_", " "))
                )
    return {name: pd.concat(parts) for name, parts in tables.items()}


def calibration_scores(
    before: np.ndarray, after: np.ndarray, cohort: pd.DataFrame
) -> dict[str, dict[str, dict[str, float]]]:
    """CALIBRATION scores by split, `before` and `after` calibration. before, after: (N,) probabilities of death."""
    died = cohort["died"].to_numpy()
    result: dict[str, dict[str, dict[str, float]]] = {}
    for split, chosen in splits(cohort).items():
        for when, probability in (("before", before[chosen]), ("after", after[chosen])):
            scored = scores(died[chosen], probability, probability > 0.5)
            result.setdefault(split.replace(" ", "_"), {})[when] = {
                name: float(scored[name][0]) for name in CALIBRATION
            }
    return result


def subgroup_table(
    model: Prediction, cohort: pd.DataFrame, *, resamples: int, seed: int
) -> pd.DataFrame:
    """`subgroup_scores` of one model, with the column split."""
    return pd.concat(
        subgroup_scores(
            cohort[chosen],
            model.probability[chosen],
            model.predicted[chosen],
            resamples=resamples,
            seed=seed,
        ).assign(split=split)
        for split, chosen in splits(cohort).items()
    )
