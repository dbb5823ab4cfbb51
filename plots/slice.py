"""The trials of a search against each setting that is a number."""

import altair as alt

from plots.frame import TITLE, Figure, View
from plots.trials import QUANTITY, complete, pruned

HEIGHT = 150
x = alt.X(
    "setting:Q",
    title=None,
    scale=alt.Scale(zero=False),
    axis=alt.Axis(tickCount=5, format=".4~g", labelOverlap="greedy"),
)
parameter = alt.FacetFieldDef(
    field="parameter",
    type="nominal",
    title=None,
    header=alt.Header(labelOrient="top", labelAnchor="start", labelPadding=4),
)
panels = alt.FacetChart(
    spec=alt.layer(complete(x, "setting:.4g"), pruned(x, HEIGHT, "setting:.4g")).properties(
        width=170, height=HEIGHT
    ),
    facet=parameter,
    columns=3,
).resolve_scale(x="independent")

FIGURE = Figure(
    title=TITLE,
    subtitle=[
        "Circles: complete trials; triangles at the lower edge: pruned ones, which have no final"
        " value"
    ],
    numbers=("trial", "value", "setting", "success_rate"),
    needs="setting",
    group=QUANTITY,
    views=[View(panels)],
)
