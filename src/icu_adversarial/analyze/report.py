"""One page about one attack: the data, the model, the attack, and the susceptibility of the model.

It has no rows of patients.
"""

from typing import Any

import pandas as pd

from icu_adversarial.analyze.report_tables import (
    ATTACK_READ,
    CELLS_SHOWN,
    SCORES_READ,
    SUSCEPTIBILITY_READ,
    UNCERTAIN,
    WIDE,
    attack_table,
    cells_table,
    measurements_table,
    scores_table,
)
from icu_adversarial.core.outcomes import worded
from icu_adversarial.features.cohort import cohort_warning

NOTHING = "No successful example."
WHO = {"0→1": "survivors predicted to die", "1→0": "deaths predicted to survive"}


def warning_of(cohort: pd.DataFrame) -> str | None:
    """Why nothing can be concluded from a cohort (schemas.COHORT), or None."""
    died, test = cohort.died, cohort.is_test
    return cohort_warning(len(cohort), int(died.sum()), int(died[test].sum()))


def report(
    source: str,
    outcome: str,
    objective: str,
    cap: float | None,
    cohort: pd.DataFrame,
    model: dict[str, Any],
    attack: dict[str, Any],
    by_cell: pd.DataFrame,
    by_measurement: pd.DataFrame,
    differs: list[str],
) -> str:
    """Write the page as Markdown.

    Args:
        source: The name of the data.
        outcome: What is predicted, in words.
        objective: What the attack maximised.
        cap: The largest change of a cell that the attack allows. None if it has no cap.
        cohort: schemas.COHORT.
        model: metrics/evaluate/metrics.json (test.MODEL.METRIC.{value, low, high}).
        attack: of `summary.summary`.
        by_cell, by_measurement: of `susceptibility.susceptibility`.
        differs: of `captions.what_differs`.
    """
    warning = warning_of(cohort)
    stays, subjects, test = len(cohort), cohort.subject_id.nunique(), int(cohort.is_test.sum())
    parts = [
        f"# Susceptibility, objective {objective}",
        f"Data: **{source}**. Outcome: {outcome}. {stays} stays of {subjects} subjects, "
        f"{cohort.died.mean():.1%} deaths; {test} stays held out as test set.",
        f"**Warning:** {warning}." if warning else "",
        "## Model on the held-out test set",
        "One threshold serves all folds. It was chosen on the out-of-fold stays. An interval is "
        f"called {UNCERTAIN} if its upper limit is more than {WIDE} times its lower limit.",
        SCORES_READ,
        scores_table(model["test"]),
        "## Attack",
        "P is the change of a record in model input units: 1 is the distance from the lower to the "
        f"upper percentile of a measurement. |P| is the size of the change. {_cap(cap)}",
        ATTACK_READ,
        attack_table(attack),
        "## Susceptibility to the best examples",
        "The same columns are used for both directions.",
        SUSCEPTIBILITY_READ,
        f"In these data: {'; '.join(differs)}." if differs else "",
    ]
    for direction, who in WHO.items():
        cells = by_cell[(by_cell.direction == direction) & (by_cell.kind == "best")]
        cells, block = cells[cells.a > 0], attack[direction.replace("→", "_to_")]
        parts.append(f"### {direction}: {who}")
        if cells.empty:
            parts.append(NOTHING)
            continue
        parts += [
            covers(block["models"]),
            f"#### Measurements, {direction}",
            measurements_table(by_measurement, direction),
            f"#### The {CELLS_SHOWN} cells with the largest A, {direction}",
            cells_table(cells),
        ]
    return worded("\n\n".join(part for part in parts if part) + "\n", outcome)


def covers(models: int) -> str:
    """What the intervals of one direction cover.

    Args:
        models: Number of attacked models. Each one was attacked with its own stays.
    """
    if models > 1:
        return (
            f"The intervals cover the choice of subjects and the differences between the {models} "
            "folds' models. They do not cover another cohort to train on."
        )
    return (
        "One model was attacked. The intervals cover the choice of subjects. They do not cover the "
        "model: another training may give other values."
    )


def _cap(cap: float | None) -> str:
    if cap is None:
        return "The attack has no cap."
    return (
        f"The cap of the attack is {cap:g}: no cell changes more. If many examples reach the cap, "
        "it determines the largest |P|, and so GMP and S."
    )
