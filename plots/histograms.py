"""How many cells an example changes, and by how much."""

import altair as alt

from plots.frame import DIRECTION, Figure, View, tooltip
from plots.theme import KIND_LABELS, KINDS, PERCENT_AXIS, SHARE, colours, legend

POWERS = [2**i for i in range(12)]
CELLS = alt.X(
    "low:Q",
    title="number of changed cells, L0 (log scale)",
    scale=alt.Scale(type="log", base=2, nice=False, domain=alt.DomainUnionWith(unionWith=[1, 16])),
    axis=alt.Axis(values=POWERS, format=",d", grid=False, labelOverlap="greedy"),
)
KIND_LEGEND = legend(labelExpr=KIND_LABELS)


def _size(title: list[str]) -> alt.X:
    axis = alt.Axis(format=".1f", tickCount=6, grid=False)
    return alt.X("low:Q", title=title, scale=SHARE, axis=axis)


def _view(quantity: str, x: alt.X) -> View:
    bars = (
        alt.Chart()
        .mark_bar(opacity=0.55, binSpacing=0)
        .encode(
            x=x,
            x2="high:Q",
            y=alt.Y(
                "share:Q", title="share of examples", stack=None, scale=SHARE, axis=PERCENT_AXIS
            ),
            y2=alt.Y2(datum=0),
            color=alt.Color("kind:N", title="example", scale=colours(KINDS), legend=KIND_LEGEND),
            tooltip=tooltip("kind", "low:.3~g", "high:.3~g", "examples:,d"),
        )
        .properties(width=270, height=150)
    )
    return View(bars, f"datum.quantity == '{quantity}'", across=True)


FIGURE = Figure(
    title="How many cells an example changes, and by how much",
    subtitle=[
        "An example is a change of one stay's record that flips the prediction.",
        "Each flipped stay has a first and a best example. Where bars overlap, their colours mix.",
        "A change of 1 is the winsorised range: from the lower to the upper percentile.",
    ],
    numbers=("low", "high", "examples", "share"),
    needs="share",
    group=DIRECTION,
    note_width=38,
    views=[
        _view("L0", CELLS),
        _view("mean |P|", _size(["mean size of the changes", "(1 = winsorised range)"])),
        _view("L∞", _size(["largest change, L∞", "(1 = winsorised range)"])),
    ],
)
