"""One page about one attack: the data, the model, the attack, and the susceptibility of the model.

It has no rows of patients.
"""

from typing import Any

import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS, KINDS, pooled
from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS
from icu_adversarial.features.cohort import cohort_warning

CELLS_SHOWN = 10  # of each direction
NOTHING = "No successful example."
MODELS = {
    "network": "network",
    "logistic_regression": "logistic regression",
    "gradient_boosting": "gradient boosting",
}
METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "challenge_score": "challenge score",
    "precision": "precision",
    "recall": "recall",
    "brier": "Brier score",
}


def warning_of(cohort: pd.DataFrame) -> str | None:
    """Why nothing can be concluded from a cohort (schemas.COHORT), or None."""
    died, test = cohort.died, cohort.is_test
    return cohort_warning(len(cohort), int(died.sum()), int(died[test].sum()))


def report(
    source: str,
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
        f"Data: **{source}**. {stays} stays of {subjects} subjects, {cohort.died.mean():.1%} "
        f"deaths; {test} stays held out as test set.",
        f"**Warning:** {warning}." if warning else "",
        "## Model on the held-out test set",
        "Value (95 % bootstrap interval over subjects). One threshold serves all folds. It was "
        "chosen on the out-of-fold stays.",
        _table(
            ["model", *METRICS.values()],
            [
                [name, *(_metric(model["test"][key][m]) for m in METRICS)]
                for key, name in MODELS.items()
            ],
        ),
        "## Attack",
        "The success rate is the share of all attacked stays. Medians are those of the examples, "
        "which are the successes within the limits of L0. Sizes are in model input units: 1 is the "
        "distance from the lower to the upper percentile of a measurement. "
        f"{_cap(cap)} The sum of A is the mean of Σ|P| over all attacked stays. Use it to compare "
        "the directions.",
        _attack_table(attack),
        "## Susceptibility to the best examples",
        "**A** is the mean of |P| over all attacked stays; a stay without an example counts as 0. "
        "A of a measurement is summed over its hours. A per measured cell is the mean of |P| over "
        "the cells with a measured value. Ranks follow A. The set in brackets contains the true "
        "rank. With 95 % confidence, this is true for all measurements at the same time. S (GMP · "
        "GPP) and sensitivity (GPP / GANZP) are numbers of the literature and have no interval. S "
        "contains a maximum and grows with the number of examples. A cell or measurement that is "
        f"perturbed in fewer than {FEWEST_PATIENTS} patients has no interval.",
        f"In these data: {'; '.join(differs)}." if differs else "",
    ]
    for direction in DIRECTIONS:
        models = attack[direction.replace("→", "_to_")]["models"]
        tables = _susceptible(by_cell, by_measurement, direction)
        parts += [f"### {direction}", *([covers(models), *tables] if tables else [NOTHING])]
    return "\n\n".join(part for part in parts if part) + "\n"


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


def _attack_table(attack: dict[str, Any]) -> str:
    head = ["direction", "example", "attacked", "success rate", "examples"]
    head += ["median L0", "median L1", "median L∞", "examples at the cap", "cells at the cap"]
    keys = ("median_l0", "median_l1", "median_linf", "capped_examples", "capped_cells", "sum_a")
    rows = []
    for direction in DIRECTIONS:
        block = attack[direction.replace("→", "_to_")]
        for kind in KINDS:
            found = block[kind]
            first = [direction, kind, block["attacked"], _number(found["success_rate"])]
            rows.append([*first, found["examples"], *(_number(found[key]) for key in keys)])
    return _table([*head, "sum of A"], rows)


def _susceptible(by_cell: pd.DataFrame, by_measurement: pd.DataFrame, direction: str) -> list[str]:
    """The tables of the measurements and of the first cells by A. Nothing without an example."""
    cells = by_cell[(by_cell.direction == direction) & (by_cell.kind == "best") & (by_cell.a > 0)]
    if cells.empty:
        return []
    top = cells.sort_values(["a", "hour"], ascending=[False, True], kind="stable")
    mine = by_measurement[(by_measurement.direction == direction) & (by_measurement.kind == "best")]
    ranked = pooled(by_measurement, direction, "best")
    ranks = mine[mine.fold != "all"].groupby("measurement")["rank"].agg(list)
    head = ["rank (set)", "measurement", "A (95 % interval)", "A per measured cell"]
    head += ["ranks by fold", "patients", "S", "sum of sensitivity"]
    cell_head = ["rank", "measurement", "hour", "A (95 % interval)", "A per measured cell"]
    cell_head += ["patients", "S", "GMP", "GPP", "GANZP"]
    return [
        _table(
            head,
            [_measurement(row, ranks.get(row.measurement, [])) for row in ranked.itertuples()],
        ),
        _table(
            cell_head,
            [_cell(i, row) for i, row in enumerate(top.head(CELLS_SHOWN).itertuples(), start=1)],
        ),
    ]


def _cell(rank: int, row: Any) -> list[Any]:
    literature = (_number(value) for value in (row.s, row.gmp, row.gpp, row.ganzp))
    place = [rank, row.measurement, f"{row.hour}–{row.end_hour}"]
    return [*place, _a(row), _number(row.a_observed), row.patients, *literature]


def _measurement(row: Any, ranks: list[int]) -> list[Any]:
    if not row.known:
        return ["–", row.measurement, "not in these data", *["–"] * 5]
    return [
        f"{row.rank:.0f} ({row.rank_low:.0f}–{row.rank_high:.0f})",
        row.measurement,
        _a(row),
        _number(row.a_observed),
        ", ".join(f"{rank:.0f}" for rank in ranks) or "–",
        f"{row.patients:.0f}",
        _number(row.s),
        _number(row.sensitivity),
    ]


def _a(row: Any) -> str:
    """A with its interval, if there is one."""
    if pd.isna(row.a_low):
        return _number(row.a)
    return f"{row.a:.3g} ({row.a_low:.3g}–{row.a_high:.3g})"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    return "\n".join(
        "| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *rows]
    )


def _metric(found: dict[str, float | None]) -> str:
    """A score with its interval. It is null if the test set has only one class."""
    value, low, high = (found[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "–"
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:.3g}"
