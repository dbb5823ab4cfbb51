"""literature: one network of the literature, on the folds and the test set of the stage train.

Reads the cohort and the grid. Writes the models and predictions.parquet to data/literature/ROW,
and metrics/literature/ROW. Trains `split.folds` networks. The test set is scored once, after the
training.
"""

import sys
from typing import Any

import pandas as pd

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_array, read_json, write_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, PREDICTIONS, read_table, write_table
from icu_adversarial.evaluate.calibration import bound_warning, calibration_scores
from icu_adversarial.evaluate.predictions import from_table
from icu_adversarial.evaluate.results import about_cohort, model_scores
from icu_adversarial.model.fold_data import make_folds
from icu_adversarial.model.folds import predict, save_folds, train_folds
from icu_adversarial.studies.leaky import scores_on_training_stays

ROOMS = ("core", "measurements", "features", "model")


def run(params: Params, row: str) -> None:
    """Train, predict and score one row of the comparison."""
    rows = params.literature.rows
    if row not in rows:
        raise InputError(f"literature: no row {row}: choose one of {', '.join(rows)}")
    folder, about = paths.LITERATURE / row, rows[row]
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    model = params.literature.model_of(row)
    folds, scalers = make_folds(grid, params.columns, cohort, params.literature.features, model)
    models = [folder / "models" / f"fold_{k}" for k in range(len(folds))]
    blocks = [
        part.model_dump_json()
        for part in (params.literature.train, model, params.literature.features)
    ]
    with resumable("literature", row, *blocks, paths.GRID, paths.COHORT, rooms=ROOMS) as state:
        states = train_folds(folds, model, params.literature.train, state)
        save_folds(models, states, folds, scalers, model)
    predictions = predict(folder / "models", cohort, grid)
    write_table(folder / "predictions.parquet", predictions, PREDICTIONS)

    saved = [read_json(file / "model.json") for file in models]
    if about.scored_on == "balanced_training":
        leaky = scores_on_training_stays(models, folds, params.literature.train.seed)
        scored: dict[str, Any] = {"test": None, "folds": leaky}
    else:
        scored = score(params, row, cohort, predictions, saved[0]["threshold"])
    warning = about_cohort(cohort)["warning"]
    content = {
        "source": params.label,
        "warning": warning,
        "label": about.label,
        "scored_on": about.scored_on,
        "epochs": [fold["epoch"] for fold in saved],
        **scored,
    }
    write_json(paths.METRICS / "literature" / row / "metrics.json", content)
    bounded = bound_warning(row, scored["calibration"]) if "calibration" in scored else None
    for message in filter(None, [warning, bounded]):
        print(f"warning: {message}", file=sys.stderr)


def score(
    params: Params, row: str, cohort: pd.DataFrame, predictions: pd.DataFrame, threshold: float
) -> dict[str, Any]:
    """Score the predictions of a row on held-out stays.

    Args:
        params: The block evaluate is used.
        row: The name of the row.
        cohort: schemas.COHORT.
        predictions: schemas.PREDICTIONS, in the order of the cohort.
        threshold: The threshold in model.json.

    Returns:
        folds and test, as in `model_scores`, and calibration, as in `calibration_scores`.
    """
    prediction, options = from_table(predictions, threshold), params.evaluate
    scored = model_scores({row: prediction}, cohort, resamples=options.bootstrap, seed=options.seed)
    calibration = calibration_scores(prediction, cohort)
    return {split: scored[split][row] for split in ("folds", "test")} | {"calibration": calibration}
