"""The scores of the network by group of patients, for the section about the model."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS
from icu_adversarial.report.html import NONE, Chart, details, interval, table
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.vega import filled

SCORES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "recall": "recall",
    "precision": "precision",
    "calibration_error": "calibration error",
}
DIVISIONS = {"age": "age", "sex": "sex", "icu_type": "unit", "source_group": "source"}


def by_group(results: Results) -> list[str | Chart]:
    """The figure and its numbers on the test set."""
    large = with_enough(results.subgroups)
    said = (
        "Scores of the network in each group of patients, with 95 % intervals. The switches choose "
        f"the score and the stays. Groups with fewer than {FEWEST_PATIENTS} deaths or survivors "
        "are left out. Grey: fewer than 20 deaths or survivors. The table has the numbers of the "
        "test set."
    )
    caption = "Scores on the test set by group of patients, each with its 95 % interval"
    head = ["group", "stays", results.worded("deaths"), *SCORES.values()]
    return [
        Chart("subgroups-chart", filled("subgroups", large), results.worded(said)),
        details(caption, table(caption, head, _rows(large[large.split == "test"]))),
    ]


def with_enough(subgroups: pd.DataFrame) -> pd.DataFrame:
    """The groups with enough stays of both outcomes.

    Args:
        subgroups: The table of the figure, as texts.
    """
    stays, deaths = (subgroups[name].astype(int) for name in ("stays", "deaths"))
    return subgroups[np.minimum(deaths, stays - deaths) >= FEWEST_PATIENTS]


def _rows(test: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for (division, group), rows in test.groupby(["division", "group"], sort=False):
        numbers = rows.set_index("score")[["value", "low", "high"]].apply(pd.to_numeric)
        first = rows.iloc[0]
        scores = [
            interval(*numbers.loc[name], form=".3f") if name in numbers.index else NONE
            for name in SCORES
        ]
        counts = (f"{int(first[name]):,}" for name in ("stays", "deaths"))
        yield f"{DIVISIONS[division]}: {group}", *counts, *scores
