"""What each everyday error does to the decisions of each model."""

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import MODELS, colours, from_zero, line_legend

SCALE = from_zero(1)
base = alt.Chart().encode(
    y=alt.Y("error:N", title=None, sort=None, axis=alt.Axis(labelLimit=300)),
    yOffset=alt.YOffset("model:N", sort=list(MODELS)),
    color=alt.Color("model:N", title="model", scale=colours(MODELS), legend=line_legend()),
)
interval = base.mark_rule(strokeWidth=2).encode(
    x=alt.X(
        "low:Q",
        title=["flipped predictions per 1,000 stays", "with one such error each"],
        scale=SCALE,
    ),
    x2="high:Q",
)
shown = tooltip(
    *("model", "error", "per_1000:.3g", "low:.3g", "high:.3g", "lost:.3g", "false:.3g"),
    *("vulnerable:.3g", "edits:,d", "caught:.1%", "per_1000_caught:.3g"),
)
point = base.mark_point(filled=True, size=60, opacity=1).encode(
    x=alt.X("per_1000:Q", scale=SCALE), tooltip=shown
)

FIGURE = Figure(
    title="Everyday errors of the record",
    subtitle=[
        "Each error is tried on every recorded value. Every stay has one error, at a random value.",
        "Errors that the plausible limits catch are left out here. Line: 95 % interval.",
    ],
    numbers=(
        *("per_1000", "low", "high", "lost", "false", "vulnerable", "edits", "caught"),
        "per_1000_caught",
    ),
    needs="per_1000",
    views=[View(alt.layer(interval, point).properties(width=420, height=alt.Step(12)))],
)
