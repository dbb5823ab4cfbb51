"""One network of the literature on the folds and the test set of `train`, which it reads once, after its training."""

import shutil

import numpy as np

from icu_adversarial import paths
from icu_adversarial.errors import InputError
from icu_adversarial.files import read_array, read_json, write_json
from icu_adversarial.model.folds import make_folds, predict, save_fold, train_folds
from icu_adversarial.model.leaky import scores_on_training_stays
from icu_adversarial.model.results import Prediction, model_scores
from icu_adversarial.params import Params
from icu_adversarial.search.study import study_key
from icu_adversarial.tables import COHORT, PREDICTIONS, read_table, write_table


def run(params: Params, row: str) -> None:
    if row not in params.compare.rows:
        raise InputError(f"compare: no row {row}: choose one of {', '.join(params.compare.rows)}")
    about, options = params.compare.rows[row], params.compare.train
    recipe = params.compare.model_of(row)
    model, folder = recipe.model_dump(), paths.COMPARE / row
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    folds, scalers = make_folds(grid, cohort, params.compare.features, recipe)
    blocks = [
        options.model_dump_json(),
        recipe.model_dump_json(),
        params.compare.features.model_dump_json(),
    ]
    checkpoints = paths.state("compare", study_key(row, *blocks, paths.GRID, paths.COHORT))
    states = train_folds(folds, model, options, checkpoints)
    models = [folder / "models" / f"fold_{k}" for k in range(len(folds))]
    for parts in zip(models, states, folds, scalers, strict=True):
        save_fold(*parts, model)

    predictions = predict(folder / "models", cohort, grid)
    write_table(folder / "predictions.parquet", predictions, PREDICTIONS)
    if about.scored_on == "balanced_training":
        result = {"folds": scores_on_training_stays(models, folds, options.seed), "test": None}
    else:
        log_odds = (predictions["logit_1"] - predictions["logit_0"]).to_numpy(np.float64)
        prediction = Prediction(
            log_odds, *(np.asarray(predictions[name]) for name in ("probability", "predicted"))
        )
        scored = model_scores(
            {row: prediction}, cohort, resamples=options.bootstrap, seed=options.seed
        )
        result = {split: scored[split][row] for split in ("folds", "test")}
    epochs = [read_json(file / "model.json")["epoch"] for file in models]
    write_json(
        paths.METRICS / "compare" / row / "metrics.json",
        {
            "source": params.extract.label,
            "label": about.label,
            "scored_on": about.scored_on,
            "epochs": epochs,
            **result,
        },
    )
    shutil.rmtree(checkpoints)
