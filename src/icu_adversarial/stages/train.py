"""Train one network per fold with the tuned hyperparameters, and predict every stay."""

import shutil

import pandas as pd
from dvclive.live import Live

from icu_adversarial.config.model import Model
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json, write_csv, write_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, PREDICTIONS, read_table, write_table
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.model.folds import make_folds, predict, save_folds, train_folds
from icu_adversarial.model.training import State

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
    with resumable("train", settings, *files, rooms=ROOMS) as checkpoints:
        states = train_folds(folds, model, options, checkpoints)
        shutil.rmtree(paths.MODELS, ignore_errors=True)  # of a split into more folds
        folders = [paths.MODELS / f"fold_{k}" for k in range(len(folds))]
        save_folds(folders, states, folds, scalers, model)
    write_table(paths.PREDICTIONS, predict(paths.MODELS, cohort, grid), PREDICTIONS)
    died, test = cohort["died"], cohort["is_test"]
    note = cohort_warning(len(cohort), int(died.sum()), int(died[test].sum())) or ""
    write_learning_curves(params.extract.label, note, states)
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


def write_learning_curves(source: str, note: str, states: list[State]) -> None:
    """Per fold and evaluation: through dvclive, where the step is the epoch, and as the table of
    one figure."""
    names = ("train_loss", "held_out_loss", "auroc", "auprc")
    with Live(str(FOLDER), dvcyaml=False, save_dvc_exp=False) as live:
        for step in range(max(len(state.history) for state in states)):
            for k, state in enumerate(states):
                if step < len(state.history):
                    live.step = int(state.history[step]["epoch"])
                    for name in names:
                        live.log_metric(f"{name}/fold_{k}", state.history[step][name])
    rows = [
        (source, k, h["epoch"], name, h[name])
        for k, state in enumerate(states)
        for h in state.history
        for name in names
    ]
    write_csv(
        FOLDER / "plots" / "learning.csv",
        pd.DataFrame(rows, columns=["source", "fold", "epoch", "quantity", "value"]).assign(
            note=note
        ),
    )
