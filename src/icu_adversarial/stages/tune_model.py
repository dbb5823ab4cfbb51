"""tune_model: search the hyperparameters of the network by cross-validation.

Reads the training stays of the cohort and their grid, and nothing of the test set. Writes
best.json and trials.parquet to data/tune_model, and metrics/tune_model. Trains
`tune_model.folds` networks for each of `tune_model.trials` trials.
"""

import json

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.model.tuning import search_network, summary
from icu_adversarial.search.live import LiveStudy
from icu_adversarial.search.study import SEARCH, write_study

ROOMS = ("core", "measurements", "features", "model", *SEARCH)


def run(params: Params) -> None:
    """Run or continue the search; write the best settings, the trials and their figures."""
    options, files = params.tune_model, (paths.GRID, paths.COHORT)
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    training = ~cohort["is_test"].to_numpy()
    blocks = [
        options.model_dump_json(exclude={"trials"}),  # a study that grows keeps its trials
        params.model.model_dump_json(),
        params.features.model_dump_json() + json.dumps(params.columns),
    ]
    with resumable("tune_model", *blocks, *files, rooms=ROOMS, keep=True) as state:
        live = LiveStudy(paths.METRICS / "tune_model", "minimize", source=params.label)
        searched = (cohort[training], grid[training], state, live.update)
        trials = search_network(params, *searched) if options.trials else []
        best = write_study(paths.TUNE_MODEL, trials, "minimize", params.model.model_dump())
    live.finish(trials, {"source": params.label} | summary(trials, best))
