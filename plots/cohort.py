"""The cohort flow: how many stays each rule keeps and excludes."""

import altair as alt

from plots.frame import DEATHS, Figure, View
from plots.theme import RED, SHARE

Y = alt.Y(
    "step:N",
    sort=alt.EncodingSortField(field="order", op="min"),
    title=None,
    scale=alt.Scale(paddingInner=0.36, paddingOuter=0.05),
    axis=alt.Axis(labelLimit=320, domain=False, ticks=False, labelPadding=10),
)
base = (
    alt.Chart()
    .transform_joinaggregate(all="max(stays)", groupby=["panel"])
    .transform_calculate(share="datum.all ? datum.stays / datum.all : 0", whole="1")
    .encode(y=Y)
)
share = alt.X("share:Q", scale=SHARE, axis=None)
later = base.transform_filter("datum.order > 0")
frame = base.mark_bar(fill="#ffffff", stroke="#888888").encode(
    x=alt.X("whole:Q", scale=SHARE, axis=None)
)
bar = base.mark_bar(color="#c6dbef", stroke="#888888").encode(x=share)
stays = base.mark_text(align="left", fontSize=13, fontWeight="bold", dy=-8).encode(
    x=alt.value(10), text="left:N"
)
people = base.mark_text(align="left", fontSize=12, dy=9).encode(x=alt.value(10), text="who:N")
arrow = later.mark_text(text="↓", fontSize=18, dy=-30).encode(x=alt.value(150))
gone = later.mark_text(align="left", fontSize=12, dy=-30).encode(
    x=alt.value(168),
    text="gone:N",
    color=alt.condition("datum.excluded > 0", alt.value(RED), alt.value("#777777")),
)

FIGURE = Figure(
    title="Cohort flow",
    subtitle=[
        "Stays that each rule keeps and excludes. Blue: share of all ICU stays that is left."
    ],
    numbers=("order", "stays", "subjects", "deaths", "excluded"),
    needs="stays",
    fields={
        "left": "format(datum.stays, ',') + (datum.stays == 1 ? ' stay' : ' stays')",
        "who": (
            "format(datum.subjects, ',') + (datum.subjects == 1 ? ' subject' : ' subjects')"
            f" + ' · ' + {DEATHS}"
            " + (datum.stays ? ' (' + format(datum.deaths / datum.stays, '.1%') + ')' : '')"
        ),
        "gone": "datum.order == 0 ? '' : format(datum.excluded, ',') + ' excluded'",
    },
    group_order="0",
    views=[
        View(
            alt.layer(frame, bar, stays, people, arrow, gone).properties(
                width=300, height=alt.Step(60), view=alt.ViewConfig(stroke=None)
            ),
            own=("y",),
        )
    ],
)
