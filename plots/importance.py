"""The importance of each setting in a search."""

import altair as alt

from plots.frame import TITLE, Figure, View, tooltip
from plots.theme import BLUE, SCORE_AXIS, SHARE

bars = (
    alt.Chart()
    .mark_bar(color=BLUE)
    .encode(
        x=alt.X("importance:Q", title="share of the variance", scale=SHARE, axis=SCORE_AXIS),
        y=alt.Y(
            "parameter:N",
            title=None,
            sort=alt.EncodingSortField(field="importance", order="descending"),
        ),
        tooltip=tooltip("parameter", "importance:.3f"),
    )
    .properties(width=430, height=alt.Step(24))
)

FIGURE = Figure(
    title=TITLE,
    subtitle=["Share of the variance between complete trials that each setting explains (fANOVA)."],
    numbers=("importance",),
    needs="importance",
    views=[View(bars)],
)
