"""preprocess: the cohort, its grid, the folds and the held-out test set. Nothing is fitted here.

Reads data/extract. Writes data/preprocess and metrics/preprocess.
"""

import numpy as np

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import atomic, read_json
from icu_adversarial.core.schemas import COHORT, STAYS, read_table, write_table
from icu_adversarial.features.cohort import cohort_flow, cohort_rules
from icu_adversarial.features.labels import labels
from icu_adversarial.features.selection import make_cohort, write_grid, write_results


def run(params: Params) -> None:
    """Choose the stays, write their grid, and divide them.

    Raises:
        InputError: An input is missing or wrong, or the cohort cannot be divided.
    """
    options, hours, names = params.preprocess, params.hours, params.columns
    stays, least = read_table(paths.STAYS, STAYS), options.min_observed_cells
    stays = stays.assign(died=labels(stays, params.outcome, params.extract.source))
    rules = cohort_rules(stays, params.window_hours, options, params.outcome)
    eligible = np.all([*rules.values()], axis=0)
    with atomic(paths.GRID) as temporary:
        observed = write_grid(temporary, stays["stay_id"].to_numpy(), eligible, hours, least, names)
        chosen = eligible & (observed >= least)
        cohort = make_cohort(stays, chosen, params.names, params.split)
        write_table(paths.COHORT, cohort, COHORT)

    rules |= {f"observed cells ≥ {least}": observed >= least}
    flow = cohort_flow(stays, rules, read_json(paths.EXCLUDED))
    share = float(observed[chosen].mean() / (len(hours) * len(names)))
    write_results(params.label, params.outcome, flow, cohort, share)
