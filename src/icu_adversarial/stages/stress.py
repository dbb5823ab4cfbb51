"""stress: every everyday error on every recorded value of some stays.

Reads the events, the cohort, the grid, the models and predictions of train, and the settings of
the baselines that evaluate chose. Writes data/stress and metrics/stress. Trains the baselines again
and asks each model about some thousand edits of each stay.
"""

import numpy as np

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json
from icu_adversarial.core.schemas import COHORT, EVENTS, PREDICTIONS, read_batches, read_table
from icu_adversarial.records.recorded import records_of
from icu_adversarial.stress.models import models_of_folds
from icu_adversarial.stress.reach import limits_of
from icu_adversarial.stress.results import Part, ask, choose, write_results


def run(params: Params) -> None:
    """Try the errors of the catalogue; write what they flip."""
    settings, hours, names = params.stress, params.hours, params.columns
    cohort, grid = read_table(paths.COHORT, COHORT), np.asarray(read_array(paths.GRID))
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    chosen = read_json(paths.METRICS / "evaluate" / "metrics.json")["baselines"]
    models = models_of_folds(cohort, grid, predictions, names, chosen, params.evaluate.seed)
    limits = limits_of(grid[cohort["fold"] >= 0])
    rows, parts = choose(cohort, settings.stays, settings.seed), []
    for fold, own in cohort.iloc[rows].groupby("fold"):
        own = own.sort_values("stay_id")
        events = read_batches(paths.EVENTS, EVENTS)
        records = records_of(events, own["stay_id"].to_numpy(), hours, names)
        members = {name: folds[int(fold)] for name, folds in models.items()}
        few = -(-settings.searched_stays * len(own) // len(rows))
        parts.append(Part(own, grid[own.index], records, members, limits, few))
    subject = np.concatenate([part.stays["subject_id"] for part in parts])
    about = {"source": params.label, "outcome": params.outcome.phrase}
    folders, drawn = (paths.STRESS, paths.METRICS / "stress"), (settings.bootstrap, settings.seed)
    found = ask(parts, settings.values, settings.candidates)
    write_results(*found, subject, names, hours, about, folders, drawn)
