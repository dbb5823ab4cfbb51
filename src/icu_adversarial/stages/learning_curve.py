"""How the scores grow with the number of training stays: the tuned network and the baselines, out of fold; the test set is not touched."""

import shutil

import numpy as np
import pandas as pd

from icu_adversarial import paths
from icu_adversarial.errors import InputError
from icu_adversarial.features.splits import some_subjects
from icu_adversarial.files import read_array, read_json, write_csv, write_json
from icu_adversarial.model import baselines
from icu_adversarial.model.evaluation import over_folds
from icu_adversarial.model.folds import kept_evaluation, make_folds, train_folds
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
    recipe = Model.model_validate(model)
    blocks = [
        options.model_dump_json(),
        params.train.model_dump_json(),
        params.features.model_dump_json(),
    ]
    state = paths.state("learning_curve", study_key(*blocks, paths.GRID, paths.COHORT, best))

    rows = []
    for share in sorted(set(options.shares)):
        learn = some_subjects(subject, share, options.seed)
        folds, _ = make_folds(grid, cohort, params.features, recipe, learn)
        if any(len(set(data.y_train)) < 2 for data in folds):
            raise InputError(
                f"learning_curve.shares: {share:g} of the subjects leaves a fold with one outcome alone: choose a larger share"
            )
        stays = round(np.mean([len(data.y_train) for data in folds]))
        states = train_folds(folds, model, params.train, state / f"{share:g}")
        entries = [kept_evaluation(state, model) for state in states]
        kept = pd.DataFrame(
            [state.history[entry] for state, entry in zip(states, entries, strict=True)]
        )
        rows += [
            (share, stays, "network", name, kept[name].mean(), kept[name].std(ddof=1))
            for name in SCORES
        ]
        for baseline in baselines.BASELINES:
            prediction = baselines.predict(
                baseline, grid, cohort, recipe.static_inputs, params.train.seed, learn
            )
            scored = over_folds(died, *prediction, fold)
            rows += [
                (share, stays, baseline, name, scored[name]["mean"], scored[name]["sd"])
                for name in SCORES
            ]
    stays = round(np.mean([(fold != k).sum() for k in range(fold.max() + 1)]))
    for name, scored in read_json(paths.METRICS / "train" / "metrics.json")["folds"].items():
        rows += [
            (1.0, stays, name, score, scored[score]["mean"], scored[score]["sd"])
            for score in SCORES
        ]

    table = pd.DataFrame(rows, columns=["share", "stays", "model", "score", "mean", "sd"])
    shown = table.assign(
        model=table["model"].str.replace("_", " "),
        low=table["mean"] - table["sd"],
        high=table["mean"] + table["sd"],
    )
    write_csv(FOLDER / "plots" / "learning_curve.csv", shown.assign(source=params.extract.label))
    scores = {
        name: part.pivot(index="share", columns="score", values="mean").to_dict("index")
        for name, part in table.groupby("model")
    }
    write_json(FOLDER / "metrics.json", {"source": params.extract.label, "folds": scores})
    shutil.rmtree(state)
