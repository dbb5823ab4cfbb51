"""The trials of a search in their order."""

import altair as alt

from plots.frame import TITLE, Figure, View
from plots.theme import COUNT_AXIS, from_zero
from plots.trials import QUANTITY, complete, pruned, value

HEIGHT = 240
x = alt.X("trial:Q", title="trial (the first is 0)", scale=from_zero(1), axis=COUNT_AXIS)
best = (
    alt.Chart()
    .transform_filter("isValid(datum.best)")
    .mark_line(interpolate="step-after", strokeWidth=2, color="#000000")
    .encode(x=x, y=value("best"))
)

FIGURE = Figure(
    title=TITLE,
    subtitle=[
        "Circles: complete trials."
        " Triangles at the lower edge: pruned trials, without a final value.",
        "Line: the best trial so far.",
    ],
    numbers=("trial", "value", "best", "success_rate"),
    needs="trial",
    group=QUANTITY,
    views=[
        View(alt.layer(complete(x), pruned(x, HEIGHT), best).properties(width=430, height=HEIGHT))
    ],
)
