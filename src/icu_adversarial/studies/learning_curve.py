"""learning_curve: how the scores of the network and the baselines grow with the training stays.

Reads the cohort, the grid, best.json of tune_model and metrics/evaluate. Writes
metrics/learning_curve. Trains `split.folds` networks for each of `learning_curve.shares`. The
scores are out of fold, and the test set is not used.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from icu_adversarial.config.model import Model
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_array, read_json, write_csv, write_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.evaluate import baselines
from icu_adversarial.evaluate.measures import held_out_ratio, mean_and_error, over_folds
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.features.splits import some_subjects
from icu_adversarial.model.fold_data import Fold, make_folds
from icu_adversarial.model.folds import kept_evaluation, train_folds

SCORES = ("auroc", "auprc")
FOLDER = paths.METRICS / "learning_curve"
ROOMS = ("core", "measurements", "features", "model")


def run(params: Params) -> None:
    """Train on each share of the subjects; write metrics/learning_curve."""
    options = params.learning_curve
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    inside = ~cohort["is_test"].to_numpy()
    cohort, grid = cohort[inside].reset_index(drop=True), grid[inside]
    best = paths.TUNE_MODEL / "best.json"
    model = Model.model_validate(read_json(best)["hyperparameters"])
    whole = read_json(paths.METRICS / "evaluate" / "metrics.json")
    settings = "".join(
        block.model_dump_json() for block in (options, params.train, params.features)
    )
    files = (paths.GRID, paths.COHORT, best)
    with resumable("learning_curve", settings, *files, rooms=ROOMS) as state:
        rows: list[dict[str, Any]] = []
        chosen = params.baselines.found(whole["baselines"])
        shared = (model.static_inputs, chosen, params.tune_model, params.evaluate.seed)
        for share in sorted(set(options.shares)):
            learn = some_subjects(cohort["subject_id"].to_numpy(), share, options.seed)
            about = {"share": share, "stays": training_stays(cohort, learn)}
            folds, _ = make_folds(grid, params.columns, cohort, params.features, model, learn)
            refuse_one_outcome(share, folds)
            states = train_folds(folds, model, params.train, state / f"{share:g}")
            kept = [s.history[kept_evaluation(s, model)] for s in states]
            found = {"network": over_evaluations(kept, cohort, learn)}
            for name in baselines.BASELINES:
                prediction = baselines.predict(name, grid, cohort, *shared, learn)
                died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
                found[name] = over_folds(died, *prediction, fold, learn)
            rows += as_rows(about, found)
        everyone = np.ones(len(cohort), bool)
        about = {"share": 1.0, "stays": training_stays(cohort, everyone)}
        write(params.label, cohort, [*rows, *as_rows(about, whole["folds"])])


def refuse_one_outcome(share: float, folds: list[Fold]) -> None:
    """Raise InputError if the training stays of a fold have one outcome only."""
    if any(len(set(data.y_train)) < 2 for data in folds):
        raise InputError(
            f"learning_curve.shares: {share:g} of the subjects leaves a fold with one outcome "
            "only: choose a larger share"
        )


def training_stays(cohort: pd.DataFrame, learn: Bool[np.ndarray, " N"]) -> int:
    """The mean over the folds of the number of training stays, rounded.

    Args:
        cohort: schemas.COHORT without the test set.
        learn: The stays that may be trained on.
    """
    fold = cohort["fold"].to_numpy()
    return round(np.mean([(learn & (fold != k)).sum() for k in range(fold.max() + 1)]))


def over_evaluations(
    kept: list[dict[str, float]], cohort: pd.DataFrame, learn: Bool[np.ndarray, " N"]
) -> dict[str, dict[str, float | None]]:
    """Summarise SCORES over the folds.

    Args:
        kept: The kept evaluation of each fold, an entry of `TrainingState.history`.
        cohort, learn: As for `training_stays`.

    Returns:
        {score: {mean, sd, standard_error}}, as in `over_folds`.
    """
    ratio = held_out_ratio(cohort["fold"].to_numpy(), learn)
    return {
        name: mean_and_error(np.array([entry[name] for entry in kept]), ratio) for name in SCORES
    }


def as_rows(about: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each model and score. found: {model: {score: {mean, sd, standard_error}}}."""
    return [
        about | {"model": model, "score": name} | scored[name]
        for model, scored in found.items()
        for name in SCORES
    ]


def write(source: str, cohort: pd.DataFrame, rows: list[dict[str, Any]]) -> None:
    """Write the table of the figure, and the means as metrics.json."""
    table, warning = pd.DataFrame(rows), cohort_warning(len(cohort), int(cohort["died"].sum()))
    shown = table.assign(
        model=table["model"].str.replace("_", " "),
        low=table["mean"] - table["sd"],
        high=table["mean"] + table["sd"],
    )
    labelled = shown.assign(source=source, note=warning or "")
    write_csv(FOLDER / "plots" / "learning_curve.csv", labelled)
    means = {
        name: part.pivot(index="share", columns="score", values="mean").to_dict("index")
        for name, part in table.groupby("model")
    }
    content = {"source": source, "warning": warning, "folds": means}
    write_json(FOLDER / "metrics.json", content)
