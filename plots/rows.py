"""What becomes of the raw rows of each measurement."""

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import (
    BLUE,
    DARK,
    GREEN,
    ORANGE,
    PERCENT_AXIS,
    PURPLE,
    SHARE,
    SKY,
    VERMILION,
    YELLOW,
    legend,
)

COLOURS = {  # in the order of the bars; the names are those of extract/account.py
    "kept": SKY,
    "no stay": "#f7f7f7",
    "outside the window": "#bdbdbd",
    "null time": "#525252",
    "revised later": YELLOW,
    "monitor value in the same hour": "#8c510a",
    "error flag": PURPLE,
    "not a number": BLUE,
    "wrong unit": VERMILION,
    "implausible": ORANGE,
    "duplicate": GREEN,
}
bar = (
    alt.Chart()
    .mark_bar(stroke=DARK, strokeWidth=0.3)
    .encode(
        y=alt.Y("measurement:N", sort=None, title=None),
        x=alt.X("share:Q", title="share of rows", scale=SHARE, axis=PERCENT_AXIS, stack=True),
        color=alt.Color(
            "reason:N",
            title=None,
            scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
            legend=legend(),
        ),
        order=alt.Order("place:Q"),
        tooltip=tooltip("measurement", "reason", "share:.2%", "rows:,d"),
    )
)

FIGURE = Figure(
    title="What becomes of the raw rows",
    subtitle=["Share of the rows of each measurement that are kept, or left out for one reason."],
    numbers=("rows", "share"),
    needs="share",
    fields={"place": f"indexof({list(COLOURS)}, datum.reason)"},
    views=[View(bar.properties(width=430, height=alt.Step(20)))],
)
