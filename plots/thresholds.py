"""Flipped predictions for each alarm threshold, by model."""

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import MODELS, colours, dashes, line_legend

lines = (
    alt.Chart()
    .mark_line(strokeWidth=2.2)
    .encode(
        x=alt.X(
            "threshold:Q",
            title="alarm threshold: predicted probability of death",
            scale=alt.Scale(domain=[0, 0.6]),
            axis=alt.Axis(format=".1f", tickCount=6),
        ),
        y=alt.Y("per_1000:Q", title="per 1,000 stays with one error each"),
        order=alt.Order("threshold:Q"),
        color=alt.Color("model:N", title="model", scale=colours(MODELS), legend=line_legend()),
        strokeDash=alt.StrokeDash(
            "model:N", title="model", scale=dashes(MODELS), legend=line_legend()
        ),
        tooltip=tooltip("model", "change", "threshold:.2f", "per_1000:.3g"),
    )
)

FIGURE = Figure(
    title="Everyday errors, by alarm threshold",
    subtitle=[
        "Every stay has one error: its kind is drawn at random, then the recorded value.",
        "Alarms lost: above the threshold without the error, below it with the error.",
    ],
    numbers=("threshold", "per_1000"),
    needs="per_1000",
    group="datum.change",
    views=[View(lines.properties(width=330, height=250), across=True)],
)
