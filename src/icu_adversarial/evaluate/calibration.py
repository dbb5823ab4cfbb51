"""How well the probabilities of a model are calibrated, before and after the calibration."""

from typing import Any

import pandas as pd

from icu_adversarial.evaluate.measures import error_if_perfect, scores
from icu_adversarial.evaluate.predictions import Prediction, part, splits
from icu_adversarial.model.calibration import SMALLEST_SLOPE, fit_by_fold
from icu_adversarial.model.scores import sigmoid

CALIBRATION = ("calibration_error", "brier", "loss")


def calibration_scores(model: Prediction, cohort: pd.DataFrame) -> dict[str, Any]:
    """Score the calibration of a model.

    Args:
        model: Its prediction, in the order of the cohort.
        cohort: schemas.COHORT.

    Returns:
        slope: {fold_K | test: slope of the calibration}; bounded: the names whose slope is
        SMALLEST_SLOPE because the best one is smaller; out_of_fold and test: {before | after:
        {score of CALIBRATION, calibration_error_if_perfect}}.
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
    """Say which slopes of a calibration are bounded.

    Args:
        name: The model.
        calibration: What `calibration_scores` returned for it.

    Returns:
        One sentence; None if no slope is bounded.
    """
    if not calibration["bounded"]:
        return None
    return (
        f"{name}: the log odds do not rank the stays that fit the calibration of "
        f"{', '.join(calibration['bounded'])}: its slope is bounded at {SMALLEST_SLOPE:g}, and the "
        "calibrated probabilities are close to the share with the outcome"
    )
