"""evaluate: the scores of the network and the baselines, out of fold and on the test set.

Reads the cohort, the grid, and the models and predictions of train. Writes metrics/evaluate.
Searches and fits the baselines, which takes most of its time; the network is not trained again.
"""

import sys

import numpy as np

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json, write_csv, write_json
from icu_adversarial.core.schemas import COHORT, PREDICTIONS, read_table
from icu_adversarial.evaluate.baselines import compared
from icu_adversarial.evaluate.predictions import from_table
from icu_adversarial.evaluate.results import evaluation


def run(params: Params) -> None:
    """Score all models; write their scores and the tables of the figures."""
    options, folder = params.evaluate, paths.METRICS / "evaluate"
    cohort, grid = read_table(paths.COHORT, COHORT), np.asarray(read_array(paths.GRID))
    network = read_json(paths.MODELS / "fold_0" / "model.json")
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    models = {"network": from_table(predictions, network["threshold"])}
    statics, search = network["model"]["static_inputs"], params.tune_model
    settings, baselines = compared(grid, cohort, statics, params.baselines, search, options.seed)
    content, tables, warnings = evaluation(
        models | baselines, cohort, resamples=options.bootstrap, seed=options.seed
    )
    about = {"source": params.label, "outcome": params.outcome.phrase}
    for name, table in tables.items():
        shown = table.assign(**about, note=content["warning"] or "")
        write_csv(folder / "plots" / f"{name}.csv", shown)
    write_json(folder / "metrics.json", {**about, **content, "baselines": settings})
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
