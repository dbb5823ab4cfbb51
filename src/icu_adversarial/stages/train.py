"""train: one network for each fold with the tuned hyperparameters, and a prediction of every stay.

Reads the cohort, the grid and best.json of tune_model. Writes the models and predictions.parquet
to data/train, and metrics/train. Trains `split.folds` networks for `train.epochs` epochs.
"""

import shutil

from icu_adversarial.config.model import Model
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, PREDICTIONS, read_table, write_table
from icu_adversarial.model.curves import LearningCurves
from icu_adversarial.model.fold_data import make_folds
from icu_adversarial.model.folds import predict, save_folds, train_folds

ROOMS = ("core", "measurements", "features", "model")


def run(params: Params) -> None:
    """Train and save the network of each fold; predict every stay."""
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    best = paths.TUNE_MODEL / "best.json"
    model = Model.model_validate(read_json(best)["hyperparameters"])
    folds, scalers = make_folds(grid, params.columns, cohort, params.features, model)
    folders = [paths.MODELS / f"fold_{k}" for k in range(len(folds))]
    settings = params.train.model_dump_json() + params.features.model_dump_json()
    with resumable("train", settings, paths.GRID, paths.COHORT, best, rooms=ROOMS) as checkpoints:
        curves = LearningCurves(paths.METRICS / "train", params.label, cohort)
        states = train_folds(folds, model, params.train, checkpoints, curves.update)
        shutil.rmtree(paths.MODELS, ignore_errors=True)  # an earlier run may have had more folds
        save_folds(folders, states, folds, scalers, model)
    write_table(paths.PREDICTIONS, predict(paths.MODELS, cohort, grid), PREDICTIONS)
    curves.finish(folders)
