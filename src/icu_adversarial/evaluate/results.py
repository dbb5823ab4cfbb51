"""Several models' predictions for one cohort → their scores, and the tables of their figures.

The stage evaluate and the study literature call it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from icu_adversarial.evaluate.calibration import bound_warning, calibration_scores
from icu_adversarial.evaluate.curves import decision_curve, rank_curves, reliability
from icu_adversarial.evaluate.measures import (
    error_if_perfect,
    held_out_ratio,
    mean_and_error,
    over_folds,
    with_intervals,
)
from icu_adversarial.evaluate.predictions import Prediction, part, splits
from icu_adversarial.evaluate.statistics import finite, paired_difference
from icu_adversarial.evaluate.subgroups import subgroup_scores
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.model.scores import rank_scores


def evaluation(
    models: Mapping[str, Prediction], cohort: pd.DataFrame, *, resamples: int, seed: int
) -> tuple[dict[str, Any], dict[str, pd.DataFrame], list[str]]:
    """Score several models and compare the first one with the others.

    Args:
        models: The predictions by name, in the order of the cohort.
        cohort: schemas.COHORT.
        resamples: Number of resamples of the subjects.
        seed: Seed of the resamples.

    Returns:
        The scores, as in `about_cohort` and `model_scores`, with `difference` and `calibration`;
        the tables of the figures by name; warnings.
    """
    about = about_cohort(cohort)
    calibration = {name: calibration_scores(model, cohort) for name, model in models.items()}
    content = {
        **about,
        **model_scores(models, cohort, resamples=resamples, seed=seed),
        "difference": differences(models, cohort, resamples=resamples, seed=seed),
        "calibration": calibration,
    }
    tables, first = curve_tables(models, cohort), next(iter(models.values()))
    tables["subgroups"] = subgroup_table(first, cohort, resamples=resamples, seed=seed)
    bounded = [bound_warning(name, found) for name, found in calibration.items()]
    return content, tables, [warning for warning in (about["warning"], *bounded) if warning]


def about_cohort(cohort: pd.DataFrame) -> dict[str, Any]:
    """Count the stays and the deaths of the training stays and of the test set.

    Args:
        cohort: schemas.COHORT.

    Returns:
        warning: what `cohort_warning` says; stays, deaths and prevalence: {training, test}.
    """
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
        models, cohort, resamples, seed: As for `evaluation`.

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
        models, cohort, resamples, seed: As for `evaluation`.

    Returns:
        {model: {test: {score: {value, low, high, standard_error}}, folds: {score: {mean, sd,
        standard_error}}}} for auroc and auprc, as in `paired_difference` and `mean_and_error`.
    """
    died, fold, subject = (cohort[column].to_numpy() for column in ("died", "fold", "subject_id"))
    test, (first, *others) = splits(cohort)["test"], models
    held_out = [fold == k for k in sorted(set(fold) - {-1})]

    def each_fold(name: str) -> Float[np.ndarray, "K 2"]:
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


def curve_tables(models: Mapping[str, Prediction], cohort: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make the tables of the curves.

    Args:
        models, cohort: As for `evaluation`.

    Returns:
        `roc` and `precision_recall` of the log odds, `reliability` and `decision` of the calibrated
        probabilities, with the columns of module `curves`, split and curve (the model).
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
    """Make the table of `subgroup_scores` of one model on both splits.

    Args:
        model: The prediction, in the order of the cohort.
        cohort, resamples, seed: As for `evaluation`.

    Returns:
        The table, with the column split.
    """
    return pd.concat(
        subgroup_scores(
            cohort[chosen], *part(model, chosen), resamples=resamples, seed=seed
        ).assign(split=split)
        for split, chosen in splits(cohort).items()
    )
