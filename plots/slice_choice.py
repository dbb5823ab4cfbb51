"""The trials of a search, by each setting that is a choice."""

import altair as alt

from plots.trials import by_setting

FIGURE = by_setting(
    alt.X("setting:N", title=None, axis=alt.Axis(labelAngle=0)),
    "setting",
    ("trial", "value", "success_rate"),
)
