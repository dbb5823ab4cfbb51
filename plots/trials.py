"""Parts of the figures of a search: its trials, complete and pruned."""

import altair as alt

from plots.frame import TITLE, Y_LABEL, Figure, View, tooltip
from plots.theme import BLUE, NUMBER, VERMILION, from_zero

PANEL_HEIGHT = 150  # of a figure by setting, in pixels
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


def by_setting(x: alt.X, setting: str, numbers: tuple[str, ...]) -> Figure:
    """The trials against their settings, one panel for each parameter.

    Args:
        x: The settings.
        setting: The setting in a tooltip, as for `frame.tooltip`.
        numbers: As for `Figure`.
    """
    parameter = alt.FacetFieldDef(
        field="named",
        type="nominal",
        title=None,
        header=alt.Header(
            labelExpr="split(datum.label, '|')[0]"
            " + (test(/log/, datum.label) ? ' (log scale)' : '')",
            labelOrient="top",
            labelAnchor="start",
            labelPadding=4,
        ),
    )
    panels = alt.FacetChart(
        spec=alt.layer(complete(x, setting), pruned(x, PANEL_HEIGHT, setting)).properties(
            width=170, height=PANEL_HEIGHT
        ),
        facet=parameter,
        columns=3,
    ).resolve_scale(x="independent")
    panels = panels.transform_joinaggregate(
        low="min(at)", high="max(at)", groupby=["parameter"]
    ).transform_calculate(
        named="join([datum.parameter, datum.scale || 'number', datum.high - datum.low], '|')"
    )
    return Figure(
        title=TITLE,
        subtitle=[
            "Circles: complete trials."
            " Triangles at the lower edge: pruned trials, without a final value."
        ],
        numbers=numbers,
        needs="setting",
        fields={
            "at": "datum.scale == 'log2' ? round(log(datum.setting) / LN2 * 1e6) / 1e6"
            " : datum.scale == 'log10' ? log(datum.setting) / LN10 : datum.setting",
        },
        group=QUANTITY,
        views=[View(panels)],
    )
