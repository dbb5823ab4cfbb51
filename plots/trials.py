"""Parts of the figures of a search: its trials, complete and pruned."""

import altair as alt

from plots.frame import Y_LABEL, tooltip
from plots.theme import BLUE, NUMBER, VERMILION, from_zero

LOSS = from_zero(0.01)
QUANTITY = f"datum.quantity || '{Y_LABEL}'"
AXIS = alt.Axis(format=NUMBER, tickCount=5)
COMPLETE = ("trial:d", "value:.5g", "success_rate:.1%")


def value(field: str) -> alt.Y:
    """The quantity of a trial on an axis that starts at 0."""
    return alt.Y(f"{field}:Q", title=None, scale=LOSS, axis=AXIS)


def complete(x: alt.X, *columns: str) -> alt.Chart:
    """A circle for each complete trial."""
    return (
        alt.Chart()
        .transform_filter("datum.state == 'complete'")
        .mark_point(size=44, strokeWidth=1.7, color=BLUE)
        .encode(x=x, y=value("value"), tooltip=tooltip(*COMPLETE, *columns))
    )


def pruned(x: alt.X, height: int, *columns: str) -> alt.Chart:
    """A triangle at the lower edge for each pruned trial, which has no final value."""
    return (
        alt.Chart()
        .transform_filter("datum.state == 'pruned'")
        .mark_point(size=44, strokeWidth=1.7, color=VERMILION, shape="triangle")
        .encode(x=x, y=alt.value(height), tooltip=tooltip("trial:d", "state", *columns))
    )
