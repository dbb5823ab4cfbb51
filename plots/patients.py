"""The original and the perturbed records of single patients."""

from typing import Any

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import DARK, VERMILION, legend

END = "domain('concat_0_x')[1]"  # of the window; Vega-Lite gives the axis of hours this name
# The largest of these steps that leads to the end, so that the end has a tick.
STEP = "".join(f"{END} > {s} && {END} % {s} == 0 ? {s} : " for s in (12, 6, 4, 3, 2)) + "1"
X = alt.X(
    "hour:Q",
    title="time since ICU admission (h)",
    scale=alt.Scale(nice=False, zero=True),
    axis=alt.Axis(
        tickCount=24,  # Vega leaves out ticks beyond this number
        values=alt.expr(f"sequence(0, {END} + 1, {STEP})"),
        format="d",
        labelOverlap="greedy",
        grid=False,
        titleFontSize=11,
    ),
)
SCALE = alt.Scale(zero=False, padding=8)
AXIS = alt.Axis(tickCount=4, minExtent=40, maxExtent=40, format=".5~g")


def _colour(field: str) -> alt.Color:
    scale = alt.Scale(domain=["original", "perturbed"], range=[DARK, VERMILION])
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend())


def _y(column: str) -> alt.Y:
    return alt.Y(f"{column}:Q", title=None, scale=SCALE, axis=AXIS)


base = alt.Chart().encode(x=X)
original = base.encode(y=_y("original"), color=_colour("before"))
line = original.mark_line(strokeWidth=1.5)
measured = original.transform_filter("datum.observed == 1").mark_tick(
    orient="vertical", thickness=1, size=6
)
changed = base.transform_filter("datum.changed == 1").encode(color=_colour("after"))
change = changed.mark_rule(strokeWidth=1.5).encode(y=_y("original"), y2="perturbed:Q")
ring = changed.mark_point(size=44, strokeWidth=1.8, filled=False, opacity=1).encode(
    y=_y("perturbed"), tooltip=tooltip("name", "hour:d", "original:.4g", "perturbed:.4g")
)
end = base.mark_rule(opacity=0).encode(x="end_hour:Q")  # extends the axis to the end
name = (
    alt.Chart()
    .transform_aggregate(groupby=["name"])
    .mark_text(align="left", baseline="bottom", fontSize=12, fontWeight="bold", y=-4)
    .encode(x=alt.value(0), text="name:N")
)
rank: Any = alt.RowColumnEncodingFieldDef(
    field="rank", type="nominal", sort=None, title=None, header=None
)
records = alt.FacetChart(
    spec=alt.layer(line, measured, change, ring, end, name).properties(width=168, height=84),
    facet=alt.FacetMapping(column=rank),
    spacing=8,
).resolve_scale(y="independent")

FIGURE = Figure(
    title="Original and perturbed records of single patients",
    subtitle=[
        "Best examples with an L1 near the median, in clinical units. At most four measurements,"
        " those with the largest changes.",
        "Ring: changed cell. Tick: measured value. A direction without examples is left out.",
    ],
    numbers=(
        *("patient", "cells", "rank", "hour", "end_hour", "original", "perturbed", "changed"),
        "observed",
    ),
    needs="measurement",
    where="datum.patient > 0 && datum.rank <= 4",
    fields={
        "name": "datum.measurement + (datum.unit ? ' (' + datum.unit + ')' : '')",
        "before": "'original'",
        "after": "'perturbed'",
    },
    group="datum.direction + ' · patient ' + datum.patient + ' · ' + datum.cells"
    " + (datum.cells == 1 ? ' perturbed cell' : ' perturbed cells')",
    group_order="(datum.direction == '0→1' ? 0 : 1000) + datum.patient",
    views=[View(records, own=("y",))],
)
