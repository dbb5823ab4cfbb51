"""What the stage analyze reads: the examples of an attack, the cohort and the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json
from icu_adversarial.core.schemas import (
    COHORT,
    ENSEMBLE,
    EXAMPLES,
    FILE,
    PERTURBATIONS,
    PREDICTIONS,
    read_table,
)
from icu_adversarial.features.scaling import Scaler, read_scaler, widest


class Inputs(NamedTuple):
    """An attack with one objective, and what it was made on.

    examples, perturbations, cohort: Tables of core.schemas.
    grid: (N, T, M) in the order of `cohort`, NaN = not measured; memory-mapped.
    cap: The largest change of a cell that the attack allows, in model input units. None where the
        attack has no cap.
    scalers: By the fold that the examples name.
    scores: metrics/evaluate/metrics.json.
    risk: The predicted risk by stay_id. None if a model from a file was attacked.
    """

    examples: pd.DataFrame
    perturbations: pd.DataFrame
    cohort: pd.DataFrame
    grid: np.ndarray
    cap: float | None
    scalers: dict[int, Scaler]
    scores: dict[str, Any]
    risk: pd.Series | None


def read_inputs(objective: str, models: Path, target: str, names: Sequence[str]) -> Inputs:
    """Read everything that the analysis of one objective needs.

    Args:
        objective: What the attack maximised.
        models: The value of attack.models.
        target: The value of attack.target.
        names: The measurements of the columns of the grid.

    Raises:
        InputError: A file is missing or unreadable, or a model reads other measurements.
    """
    folder = paths.ATTACK / objective
    best = read_json(paths.TUNE_ATTACK / objective / "best.json")
    return Inputs(
        read_table(folder / "examples.parquet", EXAMPLES),
        read_table(folder / "perturbations.parquet", PERTURBATIONS),
        read_table(paths.COHORT, COHORT),
        read_array(paths.GRID),
        best["hyperparameters"].get("cap"),
        read_scalers(models, target, names),
        read_json(paths.METRICS / "evaluate" / "metrics.json"),
        None if target == "file" else read_risk(),
    )


def read_risk() -> pd.Series:
    """Read the predicted risk of each stay, by stay_id."""
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    return predictions.set_index("stay_id").probability


def read_scalers(models: Path, target: str, names: Sequence[str]) -> dict[int, Scaler]:
    """Read the scalers by the fold that the examples name.

    ENSEMBLE and FILE of core.schemas stand for all models together and a model from a file.

    Args:
        models: The folder of all folds' models, or of the model from a file.
        target: The value of attack.target.
        names: The measurements of the columns of the grid.

    Raises:
        InputError: A scaler is missing or unreadable, or has other measurements.
    """
    if target == "file":
        return {FILE: read_scaler(models / "scaler.json", names)}
    scalers = {
        int(folder.name.removeprefix("fold_")): read_scaler(folder / "scaler.json", names)
        for folder in sorted(models.glob("fold_*"))
    }
    return scalers | {ENSEMBLE: widest(list(scalers.values()))}
