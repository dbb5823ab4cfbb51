"""The scores of each group of patients, with its numbers of stays and deaths."""

import altair as alt

from plots.frame import DEATHS, Figure, Switch, View
from plots.headings import EXPRESSION, told_by_name
from plots.intervals import beyond, clamped, point, rule
from plots.theme import BLUE, GREY, LOWEST_AUROC

LOWEST = f"(score == 'auroc' ? {LOWEST_AUROC} : 0)"
HIGHEST = "(score == 'calibration_error' ? 0.4 : 1)"
SCALE = alt.Scale(domain=[alt.ExprRef(LOWEST), alt.ExprRef(HIGHEST)], nice=False)

base = alt.Chart().encode(
    y=alt.Y("label:N", title=None, sort=None, axis=alt.Axis(labelLimit=340)),
    color=alt.condition("datum.few == 1", alt.value(GREY), alt.value(BLUE)),
)
NAMES = (
    "{auroc: 'AUROC', auprc: 'AUPRC', challenge_score: 'challenge score', recall: 'recall',"
    " precision: 'precision', calibration_error: 'calibration error'}[score]"
)
MEANINGS = {
    "auroc": "AUROC (0.5 is chance)",
    "auprc": "AUPRC (chance is the share of deaths)",
    "challenge_score": "challenge score: min(recall, precision)",
    "recall": "recall: share of the deaths that are predicted",
    "precision": "precision: share of the predicted deaths that die",
    "calibration_error": "calibration error: |predicted − observed risk|",
}
AXIS = alt.Axis(title=f"{EXPRESSION}{told_by_name(MEANINGS)}[score]", format=".1f", tickCount=5)
x = alt.X("value_shown:Q", scale=SCALE, axis=AXIS)
columns = ("group", "stays:,d", "deaths:,d")
chart = alt.layer(rule(base, SCALE), point(base, x, *columns), beyond(base, x))

FIGURE = Figure(
    title="Scores of the network by group of patients",
    subtitle=[
        "Line: 95 % bootstrap interval over subjects. Grey: fewer than 20 deaths or survivors.",
        "A group without a value is left out, for example an AUROC without a death.",
        "A number at the edge is outside the axis.",
    ],
    numbers=("value", "low", "high", "stays", "deaths", "few"),
    needs="value",
    where="datum.score == score && datum.split == split",
    fields={
        "label": "datum.group + ' · ' + datum.stays + (datum.stays == 1 ? ' stay' : ' stays')"
        f" + ', ' + {DEATHS}",
        **clamped(LOWEST, HIGHEST),
    },
    under=f"{NAMES} + ', ' + (split == 'test' ? 'test set' : split)",
    group="{age: 'age, years', sex: 'sex', icu_type: 'ICU type', source_group: 'source'}"
    "[datum.division] || datum.division",
    switches=[
        Switch(
            "score",
            (
                *("auroc", "auprc", "challenge_score"),
                *("recall", "precision", "calibration_error"),
            ),
            "score: ",
            "select",
        ),
        Switch("split", ("test", "out of fold"), "stays: "),
    ],
    views=[View(chart.properties(width=300, height=alt.Step(22)), own=("y",))],
)
