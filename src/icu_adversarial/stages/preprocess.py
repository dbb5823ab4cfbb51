"""Stays and events → cohort, hourly grid, folds and held-out test set. Nothing here is fitted to data."""

import numpy as np

from icu_adversarial import paths
from icu_adversarial.errors import InputError
from icu_adversarial.features.cohort import select_cohort
from icu_adversarial.features.grid import grid_from_events
from icu_adversarial.features.splits import assign_folds, choose_test
from icu_adversarial.files import write_array, write_csv, write_json
from icu_adversarial.params import Params
from icu_adversarial.tables import COHORT, EVENTS, STAYS, read_table, write_table


def run(params: Params) -> None:
    stays = read_table(paths.STAYS, STAYS)
    events = read_table(paths.EVENTS, EVENTS)
    row = np.searchsorted(stays["stay_id"], events["stay_id"])
    codes = events["measurement"].cat.codes.to_numpy()
    grid = grid_from_events(row, events["hour"].to_numpy(), codes, events["value"].to_numpy(), len(stays), params.window_hours)

    kept, flow = select_cohort(stays, np.isfinite(grid).sum(axis=(1, 2)), params.window_hours, params.preprocess)
    cohort, grid = stays[kept].reset_index(drop=True), grid[kept]
    deaths = int(cohort["died"].sum())
    if not 0 < deaths < len(cohort):
        raise InputError(
            f"preprocess: the cohort has {len(cohort)} stays, {deaths} of them deaths: both outcomes are needed; see the rules in params.yaml"
        )

    subject, died, split = cohort["subject_id"].to_numpy(), cohort["died"].to_numpy(), params.split
    group = cohort["source_group"].to_numpy(str)
    is_test = choose_test(subject, died, group, fraction=split.test_fraction, groups=split.test_groups, seed=split.seed)
    fold = np.full(len(cohort), -1, np.int8)
    fold[~is_test] = assign_folds(subject[~is_test], died[~is_test], folds=split.folds, seed=split.seed)
    write_array(paths.GRID, grid)
    write_table(paths.COHORT, cohort.assign(is_test=is_test, fold=fold), COHORT)

    label = params.extract.label
    folder = paths.METRICS / "preprocess"
    write_csv(folder / "plots" / "cohort.csv", flow.assign(source=label))
    write_json(
        folder / "metrics.json",
        {
            "source": label,
            "flow": flow.set_index("step").drop(columns="order").to_dict("index"),
            "stays": len(cohort),
            "subjects": cohort["subject_id"].nunique(),
            "deaths": deaths,
            "prevalence": deaths / len(cohort),
            "test_stays": int(is_test.sum()),
            "test_deaths": int(died[is_test].sum()),
            "observed_share": float(np.isfinite(grid).mean()),
        },
    )
