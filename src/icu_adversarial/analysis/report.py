"""One page on one attack: what the data are, how good the model is, how the attack went, which cells are susceptible. No patient rows."""

from typing import Any

import pandas as pd

from icu_adversarial.analysis.susceptibility import DIRECTIONS, KINDS, select

FEWEST_STAYS, LARGEST_PREVALENCE = 500, 0.3
MODELS = {
    "network": "network",
    "logistic_regression": "logistic regression",
    "gradient_boosting": "gradient boosting",
}
METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "brier": "Brier score",
}


def warning(cohort: pd.DataFrame) -> str | None:
    """Why nothing can be concluded from this cohort (tables.COHORT), or None."""
    stays, prevalence = len(cohort), float(cohort.died.mean())
    if stays >= FEWEST_STAYS and prevalence <= LARGEST_PREVALENCE:
        return None
    return (
        f"{stays} stays, {prevalence:.0%} of them deaths: too small or too deadly a cohort to conclude anything about patients "
        f"(expected at least {FEWEST_STAYS} stays and at most {LARGEST_PREVALENCE:.0%} deaths); the numbers only show that the pipeline runs"
    )


def summary(
    examples: pd.DataFrame, by_measurement: pd.DataFrame, min_l0: int, max_l0: int
) -> dict[str, Any]:
    """What metrics.json keeps of each direction ("0_to_1" | "1_to_0") and kind: numbers, or None where there is no example."""
    result: dict[str, Any] = {}
    for direction in DIRECTIONS:
        attacked = examples[examples.direction == direction]
        block: dict[str, Any] = {"attacked": int((attacked.kind == "best").sum())}
        for kind in KINDS:
            rows = attacked[attacked.kind == kind]
            chosen = select(examples, direction, kind, min_l0, max_l0)
            ranked = by_measurement[
                (by_measurement.direction == direction) & (by_measurement.kind == kind)
            ].sort_values("rank")
            block[kind] = {
                "success_rate": round(float(rows.success.mean()), 6) if len(rows) else None,
                "examples": len(chosen),
                **{
                    f"median_{norm}": float(f"{chosen[norm].median():.6g}") if len(chosen) else None
                    for norm in ("l0", "l1", "linf")
                },
                "sum_s": float(f"{ranked.s.sum():.9g}"),
                "top_measurement": ranked.measurement.iloc[0] if len(chosen) else None,
            }
        result[direction.replace("→", "_to_")] = block
    return result


def report(
    source: str,
    objective: str,
    cohort: pd.DataFrame,
    model: dict[str, Any],
    attack: dict[str, Any],
    by_cell: pd.DataFrame,
    by_measurement: pd.DataFrame,
) -> str:
    """Markdown. model: metrics/train/metrics.json (test.MODEL.METRIC.{value, low, high}); attack: from `summary`."""
    told = warning(cohort)
    stays, subjects, test = len(cohort), cohort.subject_id.nunique(), int(cohort.is_test.sum())
    parts = [
        f"# Susceptibility, objective {objective}",
        f"Data: **{source}**. {stays} stays of {subjects} subjects, {cohort.died.mean():.1%} deaths; {test} stays held out as test set.",
        f"**Warning:** {told}." if told else "",
        "## Model on the held-out test set",
        "Value (95 % bootstrap interval over subjects). The threshold was chosen on validation data.",
        _table(
            ["model", *METRICS.values()],
            [
                [name, *(_metric(model["test"][key][m]) for m in METRICS)]
                for key, name in MODELS.items()
            ],
        ),
        "## Attack",
        "Successes over all attacked stays; medians over the successful examples that pass the L0 filter, in model input units.",
        _table(
            [
                "direction",
                "example",
                "attacked",
                "success rate",
                "examples",
                "median L0",
                "median L1",
                "median L∞",
            ],
            [
                [
                    d,
                    kind,
                    block["attacked"],
                    _number(block[kind]["success_rate"]),
                    block[kind]["examples"],
                    *(_number(block[kind][f"median_{norm}"]) for norm in ("l0", "l1", "linf")),
                ]
                for d in DIRECTIONS
                for kind in KINDS
                for block in [attack[d.replace("→", "_to_")]]
            ],
        ),
        "## Susceptibility of the best examples",
        "GPP: share of the examples that perturb the cell; GANZP: mean size of a perturbation; S: largest size times GPP, of a measurement summed "
        "over its hours; sizes in model input units, 1 from the lower to the upper percentile of a measurement. 95 % bootstrap intervals over "
        "subjects; a resample can only lower the largest size, so those of S lean downwards.",
    ]
    for direction in DIRECTIONS:
        parts += [f"### {direction}", *_susceptible(by_cell, by_measurement, direction)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _susceptible(by_cell: pd.DataFrame, by_measurement: pd.DataFrame, direction: str) -> list[str]:
    cells = by_cell[(by_cell.direction == direction) & (by_cell.kind == "best") & (by_cell.s > 0)]
    if cells.empty:
        return ["No successful example."]
    top = cells.sort_values(["s", "hour"], ascending=[False, True], kind="stable").head(10)
    ranked = by_measurement[
        (by_measurement.direction == direction) & (by_measurement.kind == "best")
    ].sort_values("rank")
    head = ["rank", "measurement", "hour", "S", "GPP", "GANZP"]
    return [
        _table(head, [_cell(i, row) for i, row in enumerate(top.itertuples(), start=1)]),
        _table(
            ["rank (interval)", "measurement", "S", "sum of sensitivity"],
            [_measurement(row) for row in ranked.itertuples()],
        ),
    ]


def _cell(rank: int, row: Any) -> list[Any]:
    s, gpp = _interval(row.s, row.s_low, row.s_high), _interval(row.gpp, row.gpp_low, row.gpp_high)
    return [rank, row.measurement, f"{row.hour}–{row.end_hour}", s, gpp, f"{row.ganzp:.3f}"]


def _measurement(row: Any) -> list[Any]:
    rank = f"{row.rank} ({row.rank_low:.0f}–{row.rank_high:.0f})"
    return [
        rank,
        row.measurement,
        _interval(row.s, row.s_low, row.s_high),
        f"{row.sensitivity:.3g}",
    ]


def _table(head: list[str], rows: list[list[Any]]) -> str:
    return "\n".join(
        "| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *rows]
    )


def _metric(found: dict[str, float | None]) -> str:
    """A metric is null where the test set has one class only."""
    value, low, high = (found[key] for key in ("value", "low", "high"))
    return "–" if value is None or low is None or high is None else _interval(value, low, high)


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
