"""The scores of each group of patients, with its numbers of stays and deaths."""

import altair as alt

from plots.frame import Figure, Switch, View
from plots.intervals import beyond, clamped, point, rule
from plots.theme import BLUE, GREY, LOWEST_AUROC

LOWEST = f"(score == 'auroc' ? {LOWEST_AUROC} : 0)"
HIGHEST = "(score == 'calibration_error' ? 0.4 : 1)"
SCALE = alt.Scale(domain=[alt.ExprRef(LOWEST), alt.ExprRef(HIGHEST)], nice=False)

base = alt.Chart().encode(
    y=alt.Y("label:N", title=None, sort=None, axis=alt.Axis(labelLimit=340)),
    color=alt.condition("datum.few == 1", alt.value(GREY), alt.value(BLUE)),
)
x = alt.X("value_shown:Q", title="score", scale=SCALE, axis=alt.Axis(format=".2f", tickCount=6))
columns = ("group", "stays:,d", "deaths:,d")
chart = alt.layer(rule(base, SCALE), point(base, x, *columns), beyond(base, x))

FIGURE = Figure(
    title="Scores of the network by group of patients",
    subtitle=[
        "Line: 95 % bootstrap interval over subjects. Grey: too few stays or deaths to judge.",
        "Groups with only one outcome are left out. A number at the edge is outside the axis.",
    ],
    numbers=("value", "low", "high", "stays", "deaths", "few"),
    needs="value",
    where="datum.score == score && datum.split == split",
    fields={
        "label": "datum.group + ' · ' + datum.stays + (datum.stays == 1 ? ' stay' : ' stays')"
        " + ', ' + datum.deaths + (datum.deaths == 1 ? ' death' : ' deaths')",
        **clamped(LOWEST, HIGHEST),
    },
    under="replace(score, '_', ' ') + ', ' + (split == 'test' ? 'test set' : split)",
    group="{age: 'age, years', sex: 'sex', icu_type: 'ICU type', source_group: 'source'}"
    "[datum.division] || datum.division",
    switches=[
        Switch(
            "score",
            ("auroc", "auprc", "recall", "precision", "calibration_error"),
            "score: ",
            "select",
        ),
        Switch("split", ("test", "out of fold"), "stays: "),
    ],
    views=[View(chart.properties(width=300, height=alt.Step(22)), own=("y",))],
)
