"""A score as a point with its interval. The axis is the same in every revision."""

from typing import Any

import altair as alt

from plots.frame import tooltip


def clamped(lowest: str, highest: str) -> dict[str, str]:
    """Fields for the marks below: value, low and high, limited to the range of the axis.

    Args:
        lowest: Expression of the lowest value of the axis.
        highest: Expression of the highest value of the axis.
    """
    fields = {
        f"{name}_shown": f"isValid(datum.{name}) ? clamp(datum.{name}, {lowest}, {highest}) : null"
        for name in ("value", "low", "high")
    }
    return fields | {
        "beyond": f"datum.value < {lowest} || datum.value > {highest} ? 1 : 0",
        "above": f"datum.value > {highest} ? 1 : 0",
    }


def rule(base: alt.Chart, scale: alt.Scale) -> alt.Chart:
    """The interval."""
    chart = base.transform_filter("isValid(datum.low) && isValid(datum.high)")
    return chart.mark_rule(strokeWidth=2).encode(
        x=alt.X("low_shown:Q", scale=scale), x2="high_shown:Q"
    )


def point(base: alt.Chart, x: alt.X, *columns: str, **channels: Any) -> alt.Chart:
    """The score."""
    shown = tooltip(*columns, "value:.3f", "low:.3f", "high:.3f")
    return base.mark_point(filled=True, size=65, opacity=1).encode(x=x, tooltip=shown, **channels)


def beyond(base: alt.Chart, x: alt.X) -> alt.Chart:
    """The number of a score outside the axis, at its edge."""
    chart = base.transform_filter("datum.beyond == 1").encode(x=x)
    return chart.mark_text(
        align=alt.expr("datum.above ? 'right' : 'left'"),
        dx=alt.expr("datum.above ? -8 : 8"),
        dy=-7,
        fontSize=11,
    ).encode(text=alt.Text("value:Q", format=".3f"))
