"""The tables of the report, as Markdown, and what their columns mean."""

from typing import Any

import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS, KINDS, pooled
from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS

CELLS_SHOWN = 10  # of each direction
WIDE = 10  # an interval whose upper limit is more than this many times its lower limit
UNCERTAIN = "very uncertain"
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
SCORES_READ = """\
- Each score is followed by its 95 % interval over resampled subjects.
- AUROC: chance that a random death is ranked above a random survivor. 0.5 is guessing.
- AUPRC: area under the precision-recall curve. Guessing gives the share of deaths.
- precision: share of the predicted deaths that die. recall: share of the deaths that are predicted.
- F1: harmonic mean of precision and recall.
- challenge score: the smaller of precision and recall, at a threshold of its own. It is the
  official score of the PhysioNet Challenge 2012.
- Brier score: mean squared difference between predicted risk and outcome. Smaller is better."""
ATTACK_READ = """\
- direction: 0→1: survivors who are predicted to die. 1→0: patients who died and are predicted to
  survive.
- example: a change of one stay's record that flips the prediction. first: the one that was found
  first. best: the smallest one.
- attacked: number of attacked stays. success rate: share of them that were flipped.
- examples: the successes within the limits of L0. The medians are theirs.
- L0: number of changed cells. L1: sum of the sizes of the changes. L∞: largest change.
- examples at the cap, cells at the cap: shares of the examples and of their changed cells.
- sum of A: mean of Σ|P| over all attacked stays. Use it to compare the directions."""
SUSCEPTIBILITY_READ = f"""\
- rank: by A, 1 is the largest. "=" means a tie: equal values share a rank.
- (set): the ranks that the true rank may have. With 95 % confidence, this is true for all
  measurements at the same time.
- hour: the bin, in hours from ICU admission. A cell is one measurement in one bin.
- A: mean of |P| over all attacked stays. A stay without an example counts as 0. A of a measurement
  is summed over its hours.
- (95 % interval): missing if fewer than {FEWEST_PATIENTS} patients are changed there.
- A per measured cell: mean of |P| over the cells that hold a measured value.
- ranks by fold: rank by A for the model of each fold.
- patients: number of patients whose record is changed there.
- GMP: largest |P|. GPP: share of the examples that change the cell. GANZP: mean of the |P| that are
  not 0.
- S = GMP · GPP, and sensitivity = GPP / GANZP: numbers of the literature, without an interval. For
  a measurement they are summed over its hours. S contains a maximum and grows with the number of
  examples."""


def scores_table(scores: dict[str, Any]) -> str:
    """The scores of every model. scores: `test` of metrics/evaluate/metrics.json."""
    return _table(
        ["model", *METRICS.values()],
        [[name, *(_metric(scores[key][m]) for m in METRICS)] for key, name in MODELS.items()],
    )


def attack_table(attack: dict[str, Any]) -> str:
    """The numbers of the attack. attack: of `summary.summary`."""
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


def measurements_table(by_measurement: pd.DataFrame, direction: str) -> str:
    """The measurements by A, from the best examples of a direction.

    Args:
        by_measurement: Of `susceptibility.susceptibility`.
        direction: One of DIRECTIONS.
    """
    mine = by_measurement[(by_measurement.direction == direction) & (by_measurement.kind == "best")]
    single = mine[mine.fold != "all"]
    named = single.assign(text=single.groupby("fold")["rank"].transform(_ranks))
    by_fold = named.groupby("measurement")["text"].agg(", ".join)
    ranked = pooled(by_measurement, direction, "best")
    places = _ranks(ranked["rank"])
    head = ["rank (set)", "measurement", "A (95 % interval)", "A per measured cell"]
    head += ["ranks by fold", "patients", "S", "sensitivity"]
    rows = [
        _measurement(place, row, by_fold.get(row.measurement, "–"))
        for place, row in zip(places, ranked.itertuples(), strict=True)
    ]
    return _table(head, rows)


def cells_table(cells: pd.DataFrame) -> str:
    """The first CELLS_SHOWN cells by A.

    Args:
        cells: Rows of one direction and kind of `susceptibility.susceptibility`, with A above 0.
    """
    top = cells.sort_values(["a", "hour"], ascending=[False, True], kind="stable")
    places = _ranks(top.a.rank(method="min", ascending=False))
    head = ["rank", "measurement", "hour", "A (95 % interval)", "A per measured cell"]
    head += ["patients", "S", "GMP", "GPP", "GANZP"]
    rows = [
        _cell(place, row)
        for place, row in zip(places[:CELLS_SHOWN], top[:CELLS_SHOWN].itertuples(), strict=True)
    ]
    return _table(head, rows)


def _ranks(ranks: pd.Series) -> pd.Series:
    """Ranks as text, with "=" before those that several rows share."""
    return ranks.duplicated(keep=False).map({True: "=", False: ""}) + ranks.map("{:.0f}".format)


def _cell(place: str, row: Any) -> list[Any]:
    literature = (_number(value) for value in (row.s, row.gmp, row.gpp, row.ganzp))
    first = [place, row.measurement, f"{row.hour}–{row.end_hour}"]
    return [
        *first,
        with_interval(row.a, row.a_low, row.a_high),
        _number(row.a_observed),
        row.patients,
        *literature,
    ]


def _measurement(place: str, row: Any, by_fold: str) -> list[Any]:
    if not row.known:
        return ["–", row.measurement, "not in these data", *["–"] * 5]
    return [
        f"{place} ({row.rank_low:.0f}–{row.rank_high:.0f})",
        row.measurement,
        with_interval(row.a, row.a_low, row.a_high),
        _number(row.a_observed),
        by_fold,
        f"{row.patients:.0f}",
        _number(row.s),
        _number(row.sensitivity),
    ]


def with_interval(value: float, low: float, high: float, form: str = ".3g") -> str:
    """A value with its interval, if there is one, and words for a very wide interval."""
    if pd.isna(low) or pd.isna(high):
        return f"{value:{form}}"
    wide = f", {UNCERTAIN}" if high > WIDE * low else ""
    return f"{value:{form}} ({low:{form}}–{high:{form}}{wide})"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    return "\n".join(
        "| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *rows]
    )


def _metric(found: dict[str, float | None]) -> str:
    """A score with its interval. It is null if the test set has only one class."""
    value, low, high = (found[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "–"
    return with_interval(value, low, high, ".3f")


def _number(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{value:.3g}"
