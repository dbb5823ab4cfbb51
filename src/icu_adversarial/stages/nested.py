"""Nested cross-validation: what the search itself is worth. Every fold is scored by a network whose hyperparameters were searched without it."""

import shutil
from typing import Any

import numpy as np

from icu_adversarial import paths
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.files import read_array, write_json
from icu_adversarial.model.evaluation import sigmoid
from icu_adversarial.model.folds import save_folds, train_folds
from icu_adversarial.model.measures import scores
from icu_adversarial.model.storage import load_model
from icu_adversarial.model.training import log_odds, make_fold
from icu_adversarial.model.tuning import search_network
from icu_adversarial.params import Model, Params
from icu_adversarial.search.space import decode
from icu_adversarial.search.study import best_trial, study_key
from icu_adversarial.tables import COHORT, read_table

SCORES = (
    "auroc",
    "auprc",
    "f1",
    "recall",
    "accuracy",
)  # those that need no calibrated probability and are always defined


def run(params: Params) -> None:
    """For each fold of the training stays: search `tune_model` within the others, train on these, and score on the fold; to metrics/nested.

    One inner fold serves as validation set for the threshold and, where the model keeps its best weights, for early stopping: the outer fold decides
    nothing. Costs a search for each fold. The test set is not touched.
    """
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    fold = cohort["fold"].to_numpy()
    blocks = [
        getattr(params, name).model_dump_json()
        for name in ("features", "model", "tune_model", "train")
    ]
    state = paths.state("nested", study_key(*blocks, paths.GRID, paths.COHORT))
    found: list[dict[str, Any]] = []
    for k in sorted(set(fold) - {-1}):
        outer, inside = fold == k, (fold >= 0) & (fold != k)
        model = params.model.model_dump()
        if params.tune_model.trials:
            trials = search_network(params, cohort[inside], grid[inside], state / f"search_{k}")
            model |= decode(best_trial(trials, "minimize").params)
        inner = assign_folds(
            cohort["subject_id"].to_numpy()[inside],
            cohort["died"].to_numpy()[inside],
            folds=params.tune_model.folds,
            seed=params.tune_model.fold_seed,
        )
        data, scaler = make_fold(
            grid[inside], cohort[inside], inner == 0, params.features, Model.model_validate(model)
        )
        (trained,) = train_folds([data], model, params.train, state / f"fold_{k}")
        save_folds([state / f"fold_{k}"], [trained], [data], [scaler], model)
        z = log_odds(load_model(state / f"fold_{k}"), scaler.apply(grid[outer], cohort[outer]))
        scored = scores(cohort["died"].to_numpy()[outer], z, sigmoid(z), z > 0)
        found.append(
            {"hyperparameters": model, **{name: float(scored[name][0]) for name in SCORES}}
        )
    summary = {
        name: {
            "mean": float(np.mean([f[name] for f in found])),
            "sd": float(np.std([f[name] for f in found], ddof=1)),
        }
        for name in SCORES
    }
    write_json(
        paths.METRICS / "nested" / "metrics.json",
        {
            "source": params.extract.label,
            "warning": cohort_warning(int((fold >= 0).sum()), int(cohort["died"][fold >= 0].sum())),
            "folds": summary,
            "each": found,
        },
    )
    shutil.rmtree(state)
