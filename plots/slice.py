"""The trials of a search, by each setting that is a number."""

import altair as alt

from plots.trials import by_setting

FIGURE = by_setting(
    alt.X(
        "setting:Q",
        title=None,
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=5, format=".4~g", labelOverlap="greedy"),
    ),
    "setting:.4g",
    ("trial", "value", "setting", "success_rate"),
)
