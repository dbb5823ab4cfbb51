"""Score the network and the baselines out of fold and on the held-out test set; their figures."""

import sys

import numpy as np

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json, write_csv, write_json
from icu_adversarial.core.schemas import COHORT, PREDICTIONS, read_table
from icu_adversarial.evaluate import baselines
from icu_adversarial.evaluate.results import (
    about_cohort,
    bound_warning,
    calibration_scores,
    curve_tables,
    differences,
    from_table,
    model_scores,
    subgroup_table,
)

FOLDER = paths.METRICS / "evaluate"


def run(params: Params) -> None:
    """Reads the cohort, its grid, the predictions and the models; writes metrics/evaluate."""
    seed, resamples = params.evaluate.seed, params.evaluate.bootstrap
    cohort, grid = read_table(paths.COHORT, COHORT), np.asarray(read_array(paths.GRID))
    network = read_json(paths.MODELS / "fold_0" / "model.json")
    models = {
        "network": from_table(read_table(paths.PREDICTIONS, PREDICTIONS), network["threshold"])
    }
    settings, predicted = baselines.compared(
        grid, cohort, network["model"]["static_inputs"], params.baselines, params.tune_model, seed
    )
    models |= predicted

    about = about_cohort(cohort)
    calibration = {name: calibration_scores(model, cohort) for name, model in models.items()}
    content = {
        "source": params.extract.label,
        **about,
        **model_scores(models, cohort, resamples=resamples, seed=seed),
        "difference": differences(models, cohort, resamples=resamples, seed=seed),
        "calibration": calibration,
        "baselines": settings,
    }
    tables = curve_tables(models, cohort)
    tables["subgroups"] = subgroup_table(models["network"], cohort, resamples=resamples, seed=seed)
    for name, table in tables.items():
        labelled = table.assign(source=params.extract.label, note=about["warning"] or "")
        write_csv(FOLDER / "plots" / f"{name}.csv", labelled)
    write_json(FOLDER / "metrics.json", content)
    bounded = [bound_warning(name, found) for name, found in calibration.items()]
    for warning in filter(None, [about["warning"], *bounded]):
        print(f"warning: {warning}", file=sys.stderr)
