"""One network of the literature on the folds and the test set of `train`, which it reads once,
after its training."""

import sys
from typing import Any

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
    if row not in params.literature.rows:
        raise InputError(
            f"literature: no row {row}: choose one of {', '.join(params.literature.rows)}"
        )
    about, options = params.literature.rows[row], params.literature.train
    recipe = params.literature.model_of(row)
    folder = paths.LITERATURE / row
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    folds, scalers = make_folds(grid, cohort, params.literature.features, recipe)
    blocks = [
        options.model_dump_json(),
        recipe.model_dump_json(),
        params.literature.features.model_dump_json(),
    ]
    models = [folder / "models" / f"fold_{k}" for k in range(len(folds))]
    with resumable(
        "literature", row, *blocks, paths.GRID, paths.COHORT, rooms=ROOMS
    ) as checkpoints:
        states = train_folds(folds, recipe, options, checkpoints)
        save_folds(models, states, folds, scalers, recipe)
    saved = [read_json(file / "model.json") for file in models]

    predictions = predict(folder / "models", cohort, grid)
    write_table(folder / "predictions.parquet", predictions, PREDICTIONS)
    result: dict[str, Any] = {"test": None}
    bounded = None
    if about.scored_on == "balanced_training":
        result["folds"] = scores_on_training_stays(models, folds, options.seed)
    else:
        prediction = from_table(predictions, saved[0]["threshold"])
        scored = model_scores(
            {row: prediction},
            cohort,
            resamples=params.evaluate.bootstrap,
            seed=params.evaluate.seed,
        )
        result = {split: scored[split][row] for split in ("folds", "test")}
        result["calibration"] = calibration_scores(prediction, cohort)
        bounded = bound_warning(row, result["calibration"])
    warning = about_cohort(cohort)["warning"]
    write_json(
        paths.METRICS / "literature" / row / "metrics.json",
        {
            "source": params.extract.label,
            "warning": warning,
            "label": about.label,
            "scored_on": about.scored_on,
            "epochs": [fold["epoch"] for fold in saved],
            **result,
        },
    )
    for message in filter(None, [warning, bounded]):
        print(f"warning: {message}", file=sys.stderr)
