"""How the scores grow with the number of training stays: the tuned network and the baselines, out
of fold. The test set is not touched."""

import shutil
from typing import Any

import numpy as np
import pandas as pd

from icu_adversarial import paths
from icu_adversarial.errors import InputError
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.features.splits import some_subjects
from icu_adversarial.files import read_array, read_json, write_csv, write_json
from icu_adversarial.model import baselines
from icu_adversarial.model.folds import kept_evaluation, make_folds, train_folds
from icu_adversarial.model.measures import held_out_ratio, mean_and_error, over_folds
from icu_adversarial.params import Model, Params
from icu_adversarial.search.study import study_key
from icu_adversarial.tables import COHORT, read_table

SCORES = ("auroc", "auprc")
FOLDER = paths.METRICS / "learning_curve"


def run(params: Params) -> None:
    options = params.learning_curve
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    inside = ~cohort["is_test"].to_numpy()
    cohort, grid = cohort[inside].reset_index(drop=True), grid[inside]
    died, fold, subject = (cohort[name].to_numpy() for name in ("died", "fold", "subject_id"))
    best = paths.TUNE_MODEL / "best.json"
    model = read_json(best)["hyperparameters"]
    whole = read_json(paths.METRICS / "evaluate" / "metrics.json")
    recipe = Model.model_validate(model)
    blocks = [
        options.model_dump_json(),
        params.train.model_dump_json(),
        params.features.model_dump_json(),
    ]
    state = paths.state("learning_curve", study_key(*blocks, paths.GRID, paths.COHORT, best))

    rows: list[dict[str, Any]] = []
    for share in sorted(set(options.shares)):
        learn = some_subjects(subject, share, options.seed)
        folds, _ = make_folds(grid, cohort, params.features, recipe, learn)
        if any(len(set(data.y_train)) < 2 for data in folds):
            raise InputError(
                f"learning_curve.shares: {share:g} of the subjects leaves a fold with one outcome alone: choose a larger share"
            )
        stays = round(np.mean([(learn & (fold != k)).sum() for k in range(len(folds))]))
        states = train_folds(folds, model, params.train, state / f"{share:g}")
        entries = [kept_evaluation(state, model) for state in states]
        kept = pd.DataFrame(
            [state.history[entry] for state, entry in zip(states, entries, strict=True)]
        )
        ratio = held_out_ratio(fold, learn)
        rows += [
            {"share": share, "stays": stays, "model": "network", "score": name}
            | mean_and_error(kept[name].to_numpy(), ratio)
            for name in SCORES
        ]
        for baseline in baselines.BASELINES:
            prediction = baselines.predict(
                baseline,
                grid,
                cohort,
                recipe.static_inputs,
                params.baselines.found(whole["baselines"]),
                params.tune_model,
                params.evaluate.seed,
                learn,
            )
            scored = over_folds(died, *prediction, fold, learn)
            rows += [
                {"share": share, "stays": stays, "model": baseline, "score": name} | scored[name]
                for name in SCORES
            ]
    stays = round(np.mean([(fold != k).sum() for k in range(fold.max() + 1)]))
    for name, scored in whole["folds"].items():
        rows += [
            {"share": 1.0, "stays": stays, "model": name, "score": score} | scored[score]
            for score in SCORES
        ]

    table, warning = pd.DataFrame(rows), cohort_warning(len(died), int(died.sum()))
    shown = table.assign(
        model=table["model"].str.replace("_", " "),
        low=table["mean"] - table["sd"],
        high=table["mean"] + table["sd"],
    )
    write_csv(
        FOLDER / "plots" / "learning_curve.csv",
        shown.assign(source=params.extract.label, note=warning or ""),
    )
    scores = {
        name: part.pivot(index="share", columns="score", values="mean").to_dict("index")
        for name, part in table.groupby("model")
    }
    content = {"source": params.extract.label, "warning": warning, "folds": scores}
    write_json(FOLDER / "metrics.json", content)
    shutil.rmtree(state)
