"""The net benefit of treatment by prediction, for each threshold (Vickers and Elkin 2006)."""

from typing import Any

import altair as alt

from plots.curves import SIZE, SPLIT, line
from plots.frame import Figure, View
from plots.headings import told
from plots.theme import GREY

LOWEST = -0.02  # lower net benefits are not drawn
x = alt.X(
    "threshold:Q",
    title=told(["threshold: a stay is treated from this", "predicted probability of death"]),
    scale=alt.Scale(domain=[0, 0.6]),
    axis=alt.Axis(format=".1f", tickCount=6),
)
benefit: dict[str, Any] = {
    "title": "net benefit per stay",
    "scale": alt.Scale(domain=alt.DomainUnionWith(unionWith=[LOWEST, 0.1]), nice=False),
    "axis": alt.Axis(format=".2f", tickCount=6),
}
everybody = (
    alt.Chart()
    .transform_filter(f"datum.treat_all > {LOWEST}")
    .mark_line(color=GREY, strokeDash=[4, 4])
    .encode(x=x, y=alt.Y("treat_all:Q", **benefit), detail="split:N")
)
lines = line(
    x, alt.Y("net_benefit:Q", **benefit), "threshold", "threshold:.2f", "net_benefit:.4f"
).transform_filter(f"datum.net_benefit > {LOWEST}")

FIGURE = Figure(
    title="Decision curve",
    subtitle=[
        "Net benefit: treated deaths, minus treated survivors times the odds of the threshold,",
        "both per stay. Higher is better.",
        "Grey, dashed: all stays are treated. Zero: no stay is treated.",
    ],
    numbers=("threshold", "net_benefit", "treat_all"),
    needs="net_benefit",
    where="datum.threshold <= 0.6",
    group=SPLIT,
    views=[View(alt.layer(everybody, lines).properties(**SIZE))],
)
