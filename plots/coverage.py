"""How many stays have each measurement."""

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import DARK, PERCENT_AXIS, SHARE, SKY

base = alt.Chart().encode(
    y=alt.Y("measurement:N", sort=None, title=None),
    x=alt.X("share:Q", title="share of stays", scale=SHARE, axis=PERCENT_AXIS),
    tooltip=tooltip("measurement", "share:.1%", "stays:,d", "events_per_stay:.3~g"),
)
bar = base.mark_bar(color=SKY)
label = base.mark_text(align="left", dx=5, fontSize=11.5).encode(
    text="label:N",
    color=alt.condition("datum.share > 0", alt.value("black"), alt.value(DARK)),
)

FIGURE = Figure(
    title="How often each measurement is recorded",
    subtitle=[
        "Bar: share of the stays with at least one value in the window. Label: values per stay."
    ],
    numbers=("stays", "share", "events_per_stay"),
    needs="share",
    fields={
        "label": "datum.share > 0 ? format(datum.events_per_stay, '.3~g')"
        " + (datum.remark ? ' · ' + datum.remark : '') : 'not in these data'"
    },
    views=[View(alt.layer(bar, label).properties(width=430, height=alt.Step(20)))],
)
