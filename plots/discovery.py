"""The share of attacked stays that are flipped after a number of steps of the attack."""

import altair as alt

from plots.frame import DIRECTION, Figure, View, tooltip
from plots.theme import (
    COUNT_AXIS,
    KIND_LABELS,
    KINDS,
    PERCENT_AXIS,
    SHARE,
    colours,
    dashes,
    from_zero,
    line_legend,
)

LEGEND = line_legend(labelExpr=KIND_LABELS)
lines = (
    alt.Chart()
    .mark_line(interpolate="step-after", strokeWidth=2.2)
    .encode(
        x=alt.X(
            "iteration:Q",
            title="steps of the attack",
            scale=from_zero(1),
            axis=COUNT_AXIS,
        ),
        y=alt.Y("share:Q", title="flipped, of the attacked stays", scale=SHARE, axis=PERCENT_AXIS),
        color=alt.Color("kind:N", title="example", scale=colours(KINDS), legend=LEGEND),
        strokeDash=alt.StrokeDash("kind:N", title="example", scale=dashes(KINDS), legend=LEGEND),
        tooltip=tooltip("kind", "iteration:,d", "flipped:,d", "share:.1%"),
    )
    .properties(width=430, height=190)
)

FIGURE = Figure(
    title="Flipped stays by the number of steps",
    subtitle=[
        "Share of all attacked stays whose first or best example was found within these steps.",
        "The steps of all starts are counted.",
    ],
    numbers=("iteration", "share", "attacked", "flipped"),
    needs="share",
    group=DIRECTION,
    views=[View(lines)],
)
