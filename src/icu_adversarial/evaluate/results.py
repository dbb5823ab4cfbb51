"""Several models' predictions for one cohort → their scores, and the tables of their figures.

The stage `evaluate` and the study `literature` call it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from icu_adversarial.evaluate.curves import decision_curve, rank_curves, reliability
from icu_adversarial.evaluate.measures import (
    error_if_perfect,
    held_out_ratio,
    mean_and_error,
    over_folds,
    scores,
    with_intervals,
)
from icu_adversarial.evaluate.statistics import finite, paired_difference
from icu_adversarial.evaluate.subgroups import subgroup_scores
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.model.calibration import SMALLEST_SLOPE, fit_by_fold
from icu_adversarial.model.scores import rank_scores, sigmoid

CALIBRATION = ("calibration_error", "brier", "loss")


class Prediction(NamedTuple):
    """One model's prediction for every stay of a cohort, each (N,).

    log_odds: of death at the cohort's prevalence, not calibrated; they rank the stays.
    probability: of death, calibrated out of fold. predicted: the decision by one threshold.
    """

    log_odds: np.ndarray
    probability: np.ndarray
    predicted: np.ndarray


def from_table(predictions: pd.DataFrame, threshold: float) -> Prediction:
    """The prediction of fold models. predictions: tables.PREDICTIONS; threshold: that of
    model.json, which their logits have folded in."""
    logit_0, logit_1, probability = (
        predictions[name].to_numpy(np.float64) for name in ("logit_0", "logit_1", "probability")
    )
    return Prediction(
        logit_1 - logit_0 + threshold, probability, predictions["predicted"].to_numpy()
    )


def splits(cohort: pd.DataFrame) -> dict[str, np.ndarray]:
    """The stays, bool (N,), that count for each split. cohort: tables.COHORT."""
    test = (cohort["fold"] == -1).to_numpy()
    return {"out of fold": ~test, "test": test}


def part(model: Prediction, chosen: np.ndarray) -> Prediction:
    """The prediction for some of the stays. chosen: bool (N,)."""
    return Prediction(*(column[chosen] for column in model))


def about_cohort(cohort: pd.DataFrame) -> dict[str, Any]:
    """What every table of scores says of the cohort (tables.COHORT): warning (one sentence or
    None); stays, deaths and prevalence of the training stays and of the test set."""
    died, test = cohort["died"].to_numpy(), splits(cohort)["test"]
    sides = {"training": died[~test], "test": died[test]}
    return {
        "warning": cohort_warning(len(died), int(died.sum()), int(died[test].sum())),
        "stays": {name: len(side) for name, side in sides.items()},
        "deaths": {name: int(side.sum()) for name, side in sides.items()},
        "prevalence": {name: float(side.mean()) for name, side in sides.items()},
    }


def model_scores(
    models: Mapping[str, Prediction], cohort: pd.DataFrame, *, resamples: int, seed: int
) -> dict[str, Any]:
    """All scores of several models.

    Args:
        models: By name, in the order of the cohort.
        cohort: tables.COHORT.
        resamples: Number of resamples of the subjects.
        seed: Seed of the resamples.

    Returns:
        test: {model: {score: {value, low, high}}}, as in `with_intervals`; folds: {model: {score:
        {mean, sd, standard_error}}}, as in `over_folds`. calibration_error_if_perfect is what a
        perfectly calibrated model of that size would show.
    """
    died, fold, subject = (cohort[column].to_numpy() for column in ("died", "fold", "subject_id"))
    test = splits(cohort)["test"]
    on_test = {}
    for name, model in models.items():
        found = with_intervals(
            died[test], *part(model, test), subject[test], resamples=resamples, seed=seed
        )
        perfect = error_if_perfect(model.probability[test])
        low, high = np.percentile(perfect, [2.5, 97.5])
        summary = {"value": finite(perfect.mean()), "low": finite(low), "high": finite(high)}
        on_test[name] = found | {"calibration_error_if_perfect": summary}
    folds = {name: over_folds(died, *model, fold) for name, model in models.items()}
    return {"test": on_test, "folds": folds}


def differences(
    models: Mapping[str, Prediction], cohort: pd.DataFrame, *, resamples: int, seed: int
) -> dict[str, Any]:
    """How much higher the first model scores than each other, on the same stays.

    Args:
        models, cohort, resamples, seed: As for `model_scores`.

    Returns:
        {model: {test: {score: {value, low, high, standard_error}}, folds: {score: {mean, sd,
        standard_error}}}} for auroc and auprc, as in `paired_difference` and `mean_and_error`.
    """
    died, fold, subject = (cohort[column].to_numpy() for column in ("died", "fold", "subject_id"))
    test, (first, *others) = splits(cohort)["test"], models
    held_out = [fold == k for k in sorted(set(fold) - {-1})]

    def each_fold(name: str) -> np.ndarray:
        z = models[name].log_odds
        return np.array([rank_scores(died[rows], z[rows]) for rows in held_out])

    result = {}
    for other in others:
        gain = each_fold(first) - each_fold(other)
        result[other] = {
            "test": paired_difference(
                died[test],
                models[first].log_odds[test],
                models[other].log_odds[test],
                subject[test],
                resamples=resamples,
                seed=seed,
            ),
            "folds": {
                name: mean_and_error(gain[:, i], held_out_ratio(fold))
                for i, name in enumerate(("auroc", "auprc"))
            },
        }
    return result


def calibration_scores(model: Prediction, cohort: pd.DataFrame) -> dict[str, Any]:
    """The slope of each fold's calibration, and scores before and after it. cohort: tables.COHORT.

    Returns:
        slope: {fold_K | test: slope}; bounded: which of these are SMALLEST_SLOPE because the best
        one is smaller; out_of_fold and test: {before | after: {score of CALIBRATION,
        calibration_error_if_perfect}}.
    """
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    fitted = {
        "test" if k < 0 else f"fold_{k}": found
        for k, found in fit_by_fold(model.log_odds, died, fold).items()
    }
    result: dict[str, Any] = {
        "slope": {name: found.slope for name, found in fitted.items()},
        "bounded": [name for name, found in fitted.items() if found.bounded],
    }
    for split, chosen in splits(cohort).items():
        block = result.setdefault(split.replace(" ", "_"), {})
        for when, p in (("before", sigmoid(model.log_odds)), ("after", model.probability)):
            on_split = part(model._replace(probability=p), chosen)
            scored = scores(died[chosen], *on_split)
            block[when] = {name: float(scored[name][0]) for name in CALIBRATION}
            perfect = error_if_perfect(on_split.probability).mean()
            block[when]["calibration_error_if_perfect"] = float(perfect)
    return result


def bound_warning(name: str, calibration: dict[str, Any]) -> str | None:
    """One sentence if the slope of a calibration is bounded. calibration: `calibration_scores`."""
    if not calibration["bounded"]:
        return None
    return (
        f"{name}: the log odds do not rank the stays that fit the calibration of "
        f"{', '.join(calibration['bounded'])}: its slope is bounded at {SMALLEST_SLOPE:g}, and the "
        "calibrated probabilities are close to the share of deaths"
    )


def curve_tables(models: Mapping[str, Prediction], cohort: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables `roc`, `precision_recall`, `reliability` and `decision` of all models.

    ROC and precision-recall curves are of the log odds, the others of calibrated probabilities.
    Further columns: split and curve (the model).
    """
    died = cohort["died"].to_numpy()
    tables: dict[str, list[pd.DataFrame]] = {}
    for name, model in models.items():
        for split, chosen in splits(cohort).items():
            shown = rank_curves(died[chosen], model.log_odds[chosen]) | {
                "reliability": reliability(died[chosen], model.probability[chosen]),
                "decision": decision_curve(died[chosen], model.probability[chosen]),
            }
            for curve, table in shown.items():
                tables.setdefault(curve, []).append(
                    table.assign(split=split, curve=name.replace("_", " "))
                )
    return {name: pd.concat(parts) for name, parts in tables.items()}


def subgroup_table(
    model: Prediction, cohort: pd.DataFrame, *, resamples: int, seed: int
) -> pd.DataFrame:
    """`subgroup_scores` of one model, with the column split."""
    return pd.concat(
        subgroup_scores(
            cohort[chosen], *part(model, chosen), resamples=resamples, seed=seed
        ).assign(split=split)
        for split, chosen in splits(cohort).items()
    )
