"""Stays and events → cohort, grid, folds and held-out test set. Nothing here is fitted to data."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from icu_adversarial.config.params import Params
from icu_adversarial.config.split import Split
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import atomic, read_json, write_csv, write_json, write_parts
from icu_adversarial.core.schemas import (
    COHORT,
    EVENTS,
    STAYS,
    read_batches,
    read_table,
    write_table,
)
from icu_adversarial.features.cohort import cohort_flow, cohort_rules
from icu_adversarial.features.grid import grids
from icu_adversarial.features.splits import assign_folds, choose_test
from icu_adversarial.measurements import M


def run(params: Params) -> None:
    options, hours = params.preprocess, params.hours
    stays = read_table(paths.STAYS, STAYS)
    rules = cohort_rules(stays, params.window_hours, options)
    eligible = np.all([*rules.values()], axis=0)
    observed = np.zeros(len(stays), np.int64)  # cells with an event

    def kept() -> Iterator[np.ndarray]:
        for rows, grid in grids(
            read_batches(paths.EVENTS, EVENTS), stays["stay_id"].to_numpy(), hours
        ):
            observed[rows] = np.isfinite(grid).sum(axis=(1, 2))
            yield grid[eligible[rows] & (observed[rows] >= options.min_observed_cells)]

    with atomic(paths.GRID) as temporary:
        write_parts(temporary, kept(), (len(hours), M))
        enough = observed >= options.min_observed_cells
        cohort = split_cohort(
            stays[eligible & enough].reset_index(drop=True).astype({"died": bool}), params.split
        )
        write_table(paths.COHORT, cohort, COHORT)

    rules |= {f"observed cells ≥ {options.min_observed_cells}": enough}
    flow = cohort_flow(stays, rules, read_json(paths.EXCLUDED))
    write_results(
        params.extract.label,
        flow,
        cohort,
        float(observed[eligible & enough].mean() / (len(hours) * M)),
    )


def split_cohort(cohort: pd.DataFrame, split: Split) -> pd.DataFrame:
    """`cohort` with the columns is_test and fold. Raises InputError where it cannot be split, or it or its test set has one outcome only."""
    subject, died, group = (
        cohort["subject_id"].to_numpy(),
        cohort["died"].to_numpy(),
        cohort["source_group"].to_numpy(str),
    )
    if not 0 < died.sum() < len(cohort):
        raise InputError(
            f"preprocess: the cohort has {len(cohort)} stays, {died.sum()} of them deaths: both outcomes are needed; see the rules in params.yaml"
        )
    is_test = choose_test(
        subject,
        died,
        group,
        fraction=split.test_fraction,
        groups=split.test_groups,
        seed=split.seed,
    )
    if not 0 < died[is_test].sum() < is_test.sum():
        raise InputError(
            f"split: the test set has {is_test.sum()} stays, {died[is_test].sum()} of them deaths: both outcomes are needed; see split in params.yaml"
        )
    fold = np.full(len(cohort), -1, np.int8)
    fold[~is_test] = assign_folds(
        subject[~is_test], died[~is_test], folds=split.folds, seed=split.seed
    )
    return cohort.assign(is_test=is_test, fold=fold)


def write_results(
    label: str, flow: pd.DataFrame, cohort: pd.DataFrame, observed_share: float
) -> None:
    """metrics/preprocess: the cohort flow and what is left of it."""
    folder, test = paths.METRICS / "preprocess", cohort[cohort["is_test"]]
    write_csv(folder / "plots" / "cohort.csv", flow.assign(source=label))
    write_json(
        folder / "metrics.json",
        {
            "source": label,
            "flow": flow.set_index("step").drop(columns="order").to_dict("index"),
            "stays": len(cohort),
            "subjects": cohort["subject_id"].nunique(),
            "deaths": int(cohort["died"].sum()),
            "prevalence": float(cohort["died"].mean()),
            "test_stays": len(test),
            "test_deaths": int(test["died"].sum()),
            "observed_share": observed_share,
        },
    )
