"""Train one network per fold with the tuned hyperparameters; evaluate out of fold and, as the last step, once on the held-out test set."""

import shutil
from typing import Any

import numpy as np
import pandas as pd
from dvclive.live import Live

from icu_adversarial import paths
from icu_adversarial.files import read_array, read_json, write_csv, write_json
from icu_adversarial.model import baselines, evaluation
from icu_adversarial.model.folds import predict, save_fold, train_folds
from icu_adversarial.model.training import State, make_fold
from icu_adversarial.params import Params
from icu_adversarial.search.study import study_key
from icu_adversarial.tables import COHORT, PREDICTIONS, read_table, write_table

FOLDER = paths.METRICS / "train"


def run(params: Params) -> None:
    options = params.train
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    training = fold >= 0
    best = paths.TUNE_MODEL / "best.json"
    hyperparameters = read_json(best)["hyperparameters"]
    folds, scalers = zip(
        *(make_fold(grid[training], died[training], fold[training] == k, params.features) for k in range(params.split.folds)), strict=True
    )
    checkpoints = paths.state("train", study_key(options.model_dump_json(), params.features.model_dump_json(), paths.GRID, paths.COHORT, best))
    states = train_folds(folds, hyperparameters, options, checkpoints)
    for k, parts in enumerate(zip(states, folds, scalers, strict=True)):
        save_fold(paths.MODELS / f"fold_{k}", *parts, hyperparameters)
    write_learning_curves(params.extract.label, states)

    predictions = predict(paths.MODELS, cohort, grid)
    write_table(paths.PREDICTIONS, predictions, PREDICTIONS)
    results = write_results(params, cohort, np.asarray(grid), predictions)
    test = fold == -1
    write_json(
        FOLDER / "metrics.json",
        {
            "source": params.extract.label,
            "stays": {"training": int(training.sum()), "test": int(test.sum())},
            "prevalence": {"training": float(died[training].mean()), "test": float(died[test].mean())},
            "hyperparameters": hyperparameters,
            "best_epochs": [int(state.history[state.best_evaluation]["epoch"]) for state in states],
            **results,
        },
    )
    shutil.rmtree(checkpoints)


def write_learning_curves(source: str, states: list[State]) -> None:
    """Per fold and evaluation: through dvclive, where the step is the epoch, and as the table of one figure."""
    names = ("train_loss", "held_out_loss", "auroc", "auprc")
    with Live(str(FOLDER), dvcyaml=False, save_dvc_exp=False) as live:
        for step in range(max(len(state.history) for state in states)):
            for k, state in enumerate(states):
                if step < len(state.history):
                    live.step = int(state.history[step]["epoch"])
                    for name in names:
                        live.log_metric(f"{name}/fold_{k}", state.history[step][name])
    rows = [(source, k, h["epoch"], name, h[name]) for k, state in enumerate(states) for h in state.history for name in names]
    write_csv(FOLDER / "plots" / "learning.csv", pd.DataFrame(rows, columns=["source", "fold", "epoch", "quantity", "value"]))


def write_results(params: Params, cohort: pd.DataFrame, grid: np.ndarray, predictions: pd.DataFrame) -> dict[str, Any]:
    """Scores of the network and of the baselines on the same splits, `test` with intervals over subjects, `folds` as mean and sd; their curves."""
    options = params.train
    died, fold, subject = (cohort[column].to_numpy() for column in ("died", "fold", "subject_id"))
    test = fold == -1
    models = {"network": baselines.Prediction(predictions["probability"].to_numpy(), predictions["predicted"].to_numpy())}
    models |= {name: baselines.predict(name, grid, died, fold, options.seed) for name in baselines.BASELINES}
    results: dict[str, Any] = {"test": {}, "folds": {}}
    curves: dict[str, list[pd.DataFrame]] = {"roc": [], "precision_recall": [], "reliability": []}
    for name, (probability, predicted) in models.items():
        results["test"][name] = evaluation.with_intervals(
            died[test], probability[test], predicted[test], subject[test], resamples=options.bootstrap, seed=options.seed
        )
        results["folds"][name] = evaluation.over_folds(died, probability, predicted, fold)
        for split, chosen in (("out of fold", ~test), ("test", test)):
            for curve, table in evaluation.curves(died[chosen], probability[chosen]).items():
                curves[curve].append(table.assign(source=params.extract.label, split=split, curve=name.replace("_", " ")))
    for curve, tables in curves.items():
        write_csv(FOLDER / "plots" / f"{curve}.csv", pd.concat(tables))
    return results
