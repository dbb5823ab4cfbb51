"""Train one network per fold with the tuned hyperparameters; evaluate out of fold and, as the last step, once on the held-out test set."""

import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from dvclive.live import Live

from icu_adversarial import paths
from icu_adversarial.files import read_array, read_json, write_csv, write_json
from icu_adversarial.model import baselines
from icu_adversarial.model.folds import make_folds, predict, save_fold, train_folds
from icu_adversarial.model.results import (
    Prediction,
    calibration_scores,
    curve_tables,
    model_scores,
    subgroup_table,
)
from icu_adversarial.model.training import State
from icu_adversarial.params import Model, Params
from icu_adversarial.search.study import study_key
from icu_adversarial.tables import COHORT, PREDICTIONS, read_table, write_table

FOLDER = paths.METRICS / "train"


def run(params: Params) -> None:
    options = params.train
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    training = fold >= 0
    best = paths.TUNE_MODEL / "best.json"
    model = read_json(best)["hyperparameters"]
    folds, scalers = make_folds(grid, cohort, params.features, Model.model_validate(model))
    checkpoints = paths.state(
        "train",
        study_key(
            options.model_dump_json(),
            params.features.model_dump_json(),
            paths.GRID,
            paths.COHORT,
            best,
        ),
    )
    states = train_folds(folds, model, options, checkpoints)
    shutil.rmtree(paths.MODELS, ignore_errors=True)  # of a split into more folds
    for k, parts in enumerate(zip(states, folds, scalers, strict=True)):
        save_fold(paths.MODELS / f"fold_{k}", *parts, model)
    write_learning_curves(params.extract.label, states)

    predictions = predict(paths.MODELS, cohort, grid)
    write_table(paths.PREDICTIONS, predictions, PREDICTIONS)
    results = write_results(params, cohort, np.asarray(grid), predictions, model["static_inputs"])
    test = fold == -1
    write_json(
        FOLDER / "metrics.json",
        {
            "source": params.extract.label,
            "stays": {"training": int(training.sum()), "test": int(test.sum())},
            "prevalence": {
                "training": float(died[training].mean()),
                "test": float(died[test].mean()),
            },
            "hyperparameters": model,
            "epochs": [
                read_json(paths.MODELS / f"fold_{k}" / "model.json")["epoch"]
                for k in range(len(folds))
            ],
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
    rows = [
        (source, k, h["epoch"], name, h[name])
        for k, state in enumerate(states)
        for h in state.history
        for name in names
    ]
    write_csv(
        FOLDER / "plots" / "learning.csv",
        pd.DataFrame(rows, columns=["source", "fold", "epoch", "quantity", "value"]),
    )


def write_results(
    params: Params,
    cohort: pd.DataFrame,
    grid: np.ndarray,
    predictions: pd.DataFrame,
    static_inputs: Sequence[str],
) -> dict[str, Any]:
    """Scores of the network and of the baselines on the same splits, of the network before and after calibration and by subgroup; their figures."""
    options = params.train
    probability, before, predicted = (
        predictions[name].to_numpy() for name in ("probability", "uncalibrated", "predicted")
    )
    log_odds = (predictions["logit_1"] - predictions["logit_0"]).to_numpy(np.float64)
    models = {"network": Prediction(log_odds, probability, predicted)}
    training = ~cohort["is_test"].to_numpy()
    inside, stays = grid[training], cohort[training]
    shared = (static_inputs, params.baselines, params.tune_model, options.seed)
    settings = {
        name: baselines.search(name, inside, stays, *shared) for name in baselines.BASELINES
    }
    shared = (static_inputs, params.baselines.found(settings), params.tune_model, options.seed)
    models |= {name: baselines.predict(name, grid, cohort, *shared) for name in settings}
    probabilities = {name: model.probability for name, model in models.items()}
    tables = curve_tables(probabilities, cohort)
    tables["reliability"] = curve_tables(
        {"network": probability, "network_uncalibrated": before, **probabilities}, cohort
    )["reliability"]
    tables["subgroups"] = subgroup_table(
        models["network"], cohort, resamples=options.bootstrap, seed=options.seed
    )
    for name, table in tables.items():
        write_csv(FOLDER / "plots" / f"{name}.csv", table.assign(source=params.extract.label))
    results = model_scores(models, cohort, resamples=options.bootstrap, seed=options.seed)
    return results | {
        "calibration": calibration_scores(before, probability, cohort),
        "baselines": settings,
    }
