"""The share of decisions that one, two and four values change, for each alarm threshold."""

import altair as alt

from plots.frame import Figure, Switch, View, tooltip
from plots.theme import BLUE, PERCENT_AXIS, SHARE, SKY, VERMILION, legend

lines = (
    alt.Chart()
    .mark_line(strokeWidth=2.2, point=True)
    .encode(
        x=alt.X(
            "threshold:Q",
            title="alarm threshold: predicted probability of death",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".1f", tickCount=5),
        ),
        y=alt.Y("flipped:Q", title="share of stays", scale=SHARE, axis=PERCENT_AXIS),
        order=alt.Order("threshold:Q"),
        color=alt.Color(
            "values:O",
            title="values",
            scale=alt.Scale(domain=[1, 2, 4], range=[SKY, BLUE, VERMILION]),
            legend=legend(),
        ),
        tooltip=tooltip("model", "values:d", "threshold:.2f", "flipped:.1%"),
    )
)

FIGURE = Figure(
    title="Decisions that a few values change",
    subtitle=[
        "Share of the stays whose decision is changed by 1, 2 or 4 edited or omitted values.",
        "One value: all were tried. Two and four: the best that was found.",
    ],
    numbers=("threshold", "values", "stays", "flipped", "alarms_lost", "false_alarms"),
    needs="flipped",
    where="datum.kind == change && datum.own !== 'True' && datum.own !== true && datum.own !== '1'",
    group="datum.model",
    switches=[Switch("change", ("edited", "omitted"), "values are: ")],
    views=[View(lines.properties(width=250, height=230), across=True)],
)
