"""tune_model: search the hyperparameters of the network by cross-validation.

Reads the training stays of the cohort and their grid, and nothing of the test set. Writes
best.json and trials.parquet to data/tune_model, and metrics/tune_model. Trains
`tune_model.folds` networks for each of `tune_model.trials` trials.
"""

import json

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.model.tuning import search_network, summary
from icu_adversarial.search.live import LiveStudy
from icu_adversarial.search.study import Trials, Watch, reserved, unwatched, write_study

ROOMS = ("core", "measurements", "features", "model")


def run(params: Params) -> None:
    """Run or continue the search; write the best settings, the trials and their figures."""
    live = LiveStudy(paths.METRICS / "tune_model", "minimize", source=params.label)
    trials = search(params, live.update) if params.tune_model.trials else []
    best = write_study(paths.TUNE_MODEL, trials, "minimize", params.model.model_dump())
    live.finish(trials, {"source": params.label} | summary(trials, best))


def search(params: Params, watch: Watch = unwatched) -> Trials:
    """Run or continue the search. The command `work` calls it, too."""
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    training = ~cohort["is_test"].to_numpy()
    settings = params.tune_model.model_dump_json(exclude={"trials"})  # a longer search continues
    names = params.features.model_dump_json() + json.dumps(params.columns)
    blocks = (settings, params.model.model_dump_json(), names)
    with reserved("tune_model", *blocks, paths.GRID, paths.COHORT, rooms=ROOMS) as state:
        return search_network(params, cohort[training], grid[training], state, watch)
