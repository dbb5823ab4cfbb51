"""The sections about the model: scores, comparison and calibration."""

from typing import Any

import altair as alt
import pandas as pd

from icu_adversarial.analyze.report_tables import METRICS, MODELS, SCORES_READ
from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS
from icu_adversarial.report.html import (
    NONE,
    Chart,
    Section,
    bullets,
    details,
    heading,
    interval,
    paragraph,
    table,
)
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.look import BLUE, NO_ROWS, finished
from icu_adversarial.report.subgroups import by_group
from icu_adversarial.report.vega import filled

DRAWN = {"auroc": "AUROC (0.5 is chance)", "auprc": "AUPRC (chance is the share of deaths)"}


def comparison(results: Results) -> Section:
    """The network compared with the baselines and with the networks of the literature."""
    said = results.worded
    scores = results.scores["test"]
    rows = [
        (name, *(_score(scores[model][metric]) for metric in METRICS))
        for model, name in MODELS.items()
    ]
    parts: list[str | Chart] = [
        paragraph(
            said(
                f"The test set has {results.scores['stays']['test']:,} stays with "
                f"{results.scores['deaths']['test']:,} deaths."
            ),
            "No part of them was used to train a model, to choose a setting or to choose a "
            "threshold.",
            _difference(results),
        ),
        Chart("scores-chart", _chart(results), _heard(scores)),
        table(
            "Scores on the test set, each with its 95 % interval",
            ["model", *METRICS.values()],
            rows,
        ),
        details("What the scores mean", bullets(_meanings(results))),
        heading("By group of patients"),
        *by_group(results),
        heading("Networks of the literature"),
    ]
    if results.literature is None:
        parts.append(
            paragraph(
                "The study of the literature's networks was not made on this run. "
                "docs/experiments.md explains how to make it."
            )
        )
    else:
        spec = filled("literature", results.literature.assign(note="", warning=""))
        heard = "Scores of the literature's networks on the same folds, with published numbers."
        parts.append(Chart("literature-chart", spec, f"{heard} The table has the same numbers."))
        parts.append(_literature_table(results.literature))
    return Section("comparison", "Model compared with gradient boosting", parts)


def calibration(results: Results) -> Section:
    """Whether a predicted probability is an observed share."""
    said, rows = results.worded, results.reliability
    large = rows[rows.stays.astype(int) >= FEWEST_PATIENTS]
    scores = results.scores["test"]
    errors = [
        (
            name,
            _score(scores[model]["calibration_error"]),
            _score(scores[model]["calibration_error_if_perfect"]),
            _score(scores[model]["brier"]),
        )
        for model, name in MODELS.items()
    ]
    bins = [
        (
            f"{float(row.predicted):.3f}",
            interval(
                *(_known(getattr(row, name)) for name in ("observed", "low", "high")), form=".3f"
            ),
            f"{int(row.stays):,}",
        )
        for row in large[(large.split == "test") & (large.curve == "network")].itertuples()
    ]
    return Section(
        "calibration",
        "Calibration",
        [
            paragraph(
                said(
                    "A model is calibrated if, of the patients with a predicted probability of "
                    "death of 20 %, about 20 % die."
                ),
                "The calibration error is the mean distance between predicted and observed. Even a "
                "perfectly calibrated model shows an error above 0 on a limited number of stays: "
                "the column 'if perfect' says how much.",
            ),
            Chart(
                "reliability-chart",
                filled("reliability", large),
                said(
                    "Observed share of deaths for each predicted probability of death, for each "
                    "model. The table has the numbers of the network on the test set. Points of "
                    "fewer than 5 stays are left out."
                ),
            ),
            table(
                "Calibration on the test set, with 95 % intervals",
                ["model", "calibration error", "if perfect", "Brier score"],
                errors,
            ),
            table(
                "Predicted and observed risk of the network on the test set",
                ["mean predicted risk", "observed share (95 % interval)", "stays"],
                bins,
            ),
        ],
    )


def _chart(results: Results) -> dict[str, Any]:
    """AUROC and AUPRC of each model as points with intervals."""
    rows = [
        {"model": name, "score": results.worded(shown)}
        | {key: results.scores["test"][model][score][key] for key in ("value", "low", "high")}
        for score, shown in DRAWN.items()
        for model, name in MODELS.items()
    ]
    base = alt.Chart().encode(
        y=alt.Y("model:N", sort=list(MODELS.values()), title=None),
        tooltip=[
            alt.Tooltip("model:N"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
        ],
    )
    scale = alt.Scale(domain=[0, 1])
    rule = base.mark_rule(strokeWidth=2.5, color=BLUE).encode(
        x=alt.X("low:Q", scale=scale, title="score"), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=90, color=BLUE, opacity=1).encode(
        x=alt.X("value:Q", scale=scale, title="score")
    )
    chart = alt.layer(rule, point).properties(width=420, height=alt.Step(34))
    faceted = chart.facet(
        data=NO_ROWS,
        column=alt.Column("score:N", title=None, sort=list(DRAWN.values())),
    )
    return finished(
        faceted,
        rows,
        "Scores on the test set",
        results.source,
        ["Line: 95 % interval over patients."],
    )


def _heard(scores: dict[str, Any]) -> str:
    lines = [f"{name} {_score(scores[model]['auroc'])}" for model, name in MODELS.items()]
    return f"AUROC on the test set with its 95 % interval: {', '.join(lines)}."


def _difference(results: Results) -> str:
    """One sentence that compares the network with gradient boosting on the same patients."""
    found = results.scores["difference"]["gradient_boosting"]["test"]["auroc"]
    if found["value"] is None:
        return ""
    clear = found["low"] is not None and (found["low"] > 0 or found["high"] < 0)
    verdict = "The interval excludes 0." if clear else "The interval includes 0."
    return (
        "The AUROC of the network minus that of gradient boosting, on the same stays, is "
        f"{interval(found['value'], found['low'], found['high'], form='+.3f')}. {verdict}"
    )


def _meanings(results: Results) -> list[str]:
    """The meaning of each score. SCORES_READ is Markdown with lines that continue."""
    text = results.worded(SCORES_READ).replace("\n  ", " ")
    return [line.removeprefix("- ") for line in text.splitlines()]


def _literature_table(rows: pd.DataFrame) -> str:
    shown = [
        (
            row.model,
            row.score,
            row.kind,
            interval(
                *(_known(getattr(row, name)) for name in ("value", "low", "high")), form=".3f"
            ),
        )
        for row in rows.itertuples()
    ]
    return table(
        "The literature's models. Published numbers are from other data and other splits",
        ["model", "score", "where it is from", "value"],
        shown,
    )


def _score(found: dict[str, float | None]) -> str:
    """A score with its interval. It is null if the test set has one outcome only."""
    if found["value"] is None:
        return NONE
    return interval(found["value"], found["low"], found["high"], form=".3f")


def _known(text: str) -> float | None:
    return float(text) if text else None
