"""nested: each fold is scored by a network whose hyperparameters were searched without that fold.

The study answers how much of a score comes from choosing hyperparameters on the same folds. Reads
the cohort and the grid. Writes metrics/nested. Costs one search for each fold. The test set is not
used.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, write_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.evaluate.measures import scores
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.fold_data import make_fold
from icu_adversarial.model.folds import save_folds, train_folds
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.scores import challenge_threshold, sigmoid
from icu_adversarial.model.training import log_odds
from icu_adversarial.model.tuning import search_network
from icu_adversarial.search.space import decode
from icu_adversarial.search.study import SEARCH, best_trial

# These need no calibrated probability and are always defined.
SCORES = ("auroc", "auprc", "f1", "challenge_score", "recall", "accuracy")
BLOCKS = ("features", "model", "tune_model", "train")
ROOMS = ("core", "measurements", "features", "model", *SEARCH)


def run(params: Params) -> None:
    """Search, train and score for every fold; write metrics/nested/metrics.json."""
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    fold, died = cohort["fold"].to_numpy(), cohort["died"].to_numpy()
    blocks = [getattr(params, name).model_dump_json() for name in BLOCKS]
    with resumable("nested", *blocks, paths.GRID, paths.COHORT, rooms=ROOMS) as state:
        each = [score_fold(params, cohort, grid, int(k), state) for k in sorted(set(fold) - {-1})]
        content = {
            "source": params.label,
            "warning": cohort_warning(int((fold >= 0).sum()), int(died[fold >= 0].sum())),
            "folds": summary(each),
            "each": each,
        }
        write_json(paths.METRICS / "nested" / "metrics.json", content)


def score_fold(
    params: Params, cohort: pd.DataFrame, grid: Float[np.ndarray, "N T M"], k: int, state: Path
) -> dict[str, Any]:
    """Search `tune_model` without fold k, train on the other folds, and score on fold k.

    One inner fold chooses the thresholds and, where the model keeps its best weights, the epoch.
    So fold k decides nothing.

    Args:
        params: The blocks features, model, tune_model and train are used.
        cohort: schemas.COHORT.
        grid: Values in clinical units, in the order of the cohort; NaN = not observed.
        k: The fold.
        state: The folder of the checkpoints.

    Returns:
        hyperparameters, and one number for each of SCORES.
    """
    fold, died = cohort["fold"].to_numpy(), cohort["died"].to_numpy()
    outer, inside = fold == k, (fold >= 0) & (fold != k)
    model = params.model
    if params.tune_model.trials:
        trials = search_network(params, cohort[inside], grid[inside], state / f"search_{k}")
        model = model.changed(decode(best_trial(trials, "minimize").params))
    inner = assign_folds(
        cohort["subject_id"].to_numpy()[inside],
        died[inside],
        folds=params.tune_model.folds,
        seed=params.tune_model.fold_seed,
    )
    data, scaler = make_fold(
        grid[inside], params.columns, cohort[inside], inner == 0, params.features, model
    )
    folder = state / f"fold_{k}"
    trained = train_folds([data], model, params.train, folder)
    save_folds([folder], trained, [data], [scaler], model)
    network = load_model(folder)
    z = log_odds(network, scaler.apply(grid[outer], cohort[outer]))
    limit = challenge_threshold(data.y_held_out, log_odds(network, data.x_held_out))
    scored = scores(died[outer], z, sigmoid(z), z > 0, z > limit)
    return {
        "hyperparameters": model.model_dump(mode="json"),
        **{name: float(scored[name][0]) for name in SCORES},
    }


def summary(each: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the folds of each of SCORES."""
    return {
        name: {
            "mean": float(np.mean([fold[name] for fold in each])),
            "sd": float(np.std([fold[name] for fold in each], ddof=1)),
        }
        for name in SCORES
    }
