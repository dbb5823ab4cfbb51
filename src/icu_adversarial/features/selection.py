"""The cohort with its grid, and what the stage preprocess reports about it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from icu_adversarial.config.split import Split
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import write_csv, write_json, write_parts
from icu_adversarial.core.outcomes import Outcome
from icu_adversarial.core.schemas import EVENTS, read_batches
from icu_adversarial.features.grid import grids
from icu_adversarial.features.splits import assign_folds, choose_test
from icu_adversarial.features.statics import first_values


def write_grid(
    file: Path,
    stay_id: Int[np.ndarray, " N"],
    eligible: Bool[np.ndarray, " N"],
    hours: range,
    least: int,
    names: Sequence[str],
) -> Int[np.ndarray, " N"]:
    """Write the grids of the stays of the cohort as one array.

    Args:
        file: The array, float32 (stays of the cohort, T, M), is written here.
        stay_id: The stays, sorted.
        eligible: The stays that follow all rules of the cohort.
        hours: The first hour of each bin.
        least: The cohort has only stays with at least so many observed cells.
        names: The measurements that are columns of the grid, M.

    Returns:
        The number of observed cells of each stay. The cohort consists of the eligible
        stays with at least `least`.

    Raises:
        InputError: The events are missing, unreadable or not those of the stays.
    """
    observed = np.zeros(len(stay_id), np.int64)

    def kept() -> Iterator[np.ndarray]:
        for rows, grid in grids(read_batches(paths.EVENTS, EVENTS), stay_id, hours, names):
            observed[rows] = np.isfinite(grid).sum(axis=(1, 2))
            yield grid[eligible[rows] & (observed[rows] >= least)]

    write_parts(file, kept(), (len(hours), len(names)))
    return observed


def make_cohort(
    stays: pd.DataFrame, chosen: Bool[np.ndarray, " N"], names: Sequence[str], split: Split
) -> pd.DataFrame:
    """Choose the stays of the cohort, add weight and height, and divide them.

    Args:
        stays: schemas.STAYS.
        chosen: Which of them form the cohort. Their outcome is known.
        names: The measurements that are read.
        split: The block `split` of params.yaml.

    Returns:
        The columns of schemas.COHORT, and those of schemas.STAYS.

    Raises:
        InputError: As in `split_cohort`.
    """
    body = first_values(read_batches(paths.EVENTS, EVENTS), stays["stay_id"].to_numpy(), names)
    kept = pd.concat([stays, body], axis=1)[chosen].reset_index(drop=True)
    return split_cohort(kept.astype({"died": bool}), split)


def split_cohort(cohort: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Divide the cohort into folds and a held-out test set.

    Args:
        cohort: Stays with subject_id, died and source_group.
        split: The block `split` of params.yaml.

    Returns:
        The cohort with the columns is_test and fold. Test stays have fold -1.

    Raises:
        InputError: The cohort cannot be split, or it or its test set has only one outcome.
    """
    subject, died = cohort["subject_id"].to_numpy(), cohort["died"].to_numpy()
    _both_outcomes("preprocess: the cohort", died, "the rules")
    is_test = choose_test(
        subject,
        died,
        cohort["source_group"].to_numpy(str),
        fraction=split.test_fraction,
        groups=split.test_groups,
        seed=split.seed,
    )
    _both_outcomes("split: the test set", died[is_test], "split")
    fold = np.full(len(cohort), -1, np.int8)
    fold[~is_test] = assign_folds(
        subject[~is_test], died[~is_test], folds=split.folds, seed=split.seed
    )
    return cohort.assign(is_test=is_test, fold=fold)


def _both_outcomes(what: str, died: np.ndarray, where: str) -> None:
    if not 0 < died.sum() < len(died):
        raise InputError(
            f"{what} has {len(died)} stays, {died.sum()} of them with the outcome: stays with and"
            f" without it are needed: see {where} in params.yaml"
        )


def write_results(
    label: str, outcome: Outcome, flow: pd.DataFrame, cohort: pd.DataFrame, observed_share: float
) -> None:
    """Write metrics/preprocess: the cohort flow and what is left of it.

    Args:
        label: What figures call the data.
        outcome: What is predicted. The numbers under `deaths` are those of stays with it.
        flow: The result of `cohort.cohort_flow`.
        cohort: Table core.schemas.COHORT.
        observed_share: Share of the cells of the cohort's grid that have a value.
    """
    folder, test = paths.METRICS / "preprocess", cohort[cohort["is_test"]]
    write_csv(folder / "plots" / "cohort.csv", flow.assign(source=label, outcome=outcome.phrase))
    write_json(
        folder / "metrics.json",
        {
            "source": label,
            "outcome": outcome.phrase,
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
