"""Train one network per fold with the tuned hyperparameters, and predict every stay."""

import shutil

from icu_adversarial.config.model import Model
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json, write_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, PREDICTIONS, read_table, write_table
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.model.curves import LearningCurves
from icu_adversarial.model.folds import make_folds, predict, save_folds, train_folds

FOLDER = paths.METRICS / "train"
ROOMS = ("core", "measurements", "features", "model")


def run(params: Params) -> None:
    options = params.train
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    best = paths.TUNE_MODEL / "best.json"
    model = Model.model_validate(read_json(best)["hyperparameters"])
    folds, scalers = make_folds(grid, cohort, params.features, model)
    settings = options.model_dump_json() + params.features.model_dump_json()
    files = (paths.GRID, paths.COHORT, best)
    died, test = cohort["died"], cohort["is_test"]
    note = cohort_warning(len(cohort), int(died.sum()), int(died[test].sum())) or ""
    with resumable("train", settings, *files, rooms=ROOMS) as checkpoints:
        curves = LearningCurves(FOLDER, params.extract.label, note)
        states = train_folds(folds, model, options, checkpoints, curves.update)
        shutil.rmtree(paths.MODELS, ignore_errors=True)  # of a split into more folds
        folders = [paths.MODELS / f"fold_{k}" for k in range(len(folds))]
        save_folds(folders, states, folds, scalers, model)
    write_table(paths.PREDICTIONS, predict(paths.MODELS, cohort, grid), PREDICTIONS)
    saved = [read_json(folder / "model.json") for folder in folders]
    write_json(
        FOLDER / "metrics.json",
        {
            "source": params.extract.label,
            "hyperparameters": model.model_dump(mode="json"),
            "epochs": [fold["epoch"] for fold in saved],
            "threshold": saved[0]["threshold"],
        },
    )
