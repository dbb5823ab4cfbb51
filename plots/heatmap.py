"""The common parts of the susceptibility maps: one value for each hour and measurement."""

from collections.abc import Sequence

import altair as alt

from plots.frame import DIRECTION, KIND, Figure, View
from plots.theme import ABSENT, DARK, FEWEST_PATIENTS, NUMBER, UNSUPPORTED, legend

WIDTH = 480
SHARED = (
    "A cell is one measurement in one bin of hours. All panels have the same colour scale."
    f" Grey: fewer than {FEWEST_PATIENTS} patients."
)
RANGE = "winsorised range of the measurement, from its lower to its upper percentile"


def heatmap(
    column: str,
    title: str,
    subtitle: Sequence[str],
    legend_title: Sequence[str],
    scale: alt.Scale,
    form: str = NUMBER,
    values: Sequence[float] = (),
) -> Figure:
    """A map.

    Args:
        column: The column that the colour shows.
        title: The title, with the name of the number in words.
        subtitle: The meaning of the number. A line about cells and colours follows.
        legend_title: The number and its unit, one string per line.
        scale: The colour scale.
        form: The number format of the legend.
        values: Ticks of the legend. Without them, Vega chooses.
    """
    scale.scheme, scale.reverse = "magma", True
    axis = alt.Axis(values=[*range(0, 132, 6)], labelOverlap="greedy", grid=False, format="d")
    x = alt.X(
        "hour:Q",
        title="time since ICU admission (h)",
        axis=axis,
        scale=alt.Scale(nice=False, zero=True),
    )
    base = alt.Chart().encode(x=x, y=alt.Y("measurement:N", sort=None, title=None))
    ticks = {"values": list(values)} if values else {}
    cells = base.mark_rect(invalid=None).encode(
        x2="end_hour:Q",
        color=alt.Color(
            "number:Q",
            title=list(legend_title),
            scale=scale,
            legend=legend(gradientLength=260, format=form, **ticks),
            condition=[
                {"test": "datum.known === 0", "value": ABSENT},
                {"test": "!isValid(datum.number)", "value": UNSUPPORTED},
            ],
        ),
        tooltip=[
            alt.Tooltip("measurement:N"),
            alt.Tooltip("hour:Q"),
            alt.Tooltip("raw:Q", format=".4g", title=column),
            alt.Tooltip("patients:Q"),
        ],
    )
    text = (
        base.transform_filter("datum.known === 0 && datum.hour === 0")
        .mark_text(color=DARK, fontSize=11, fontStyle="italic")
        .encode(x=alt.value(WIDTH / 2), text=alt.value("not in these data"))
    )
    return Figure(
        title=title,
        subtitle=[*subtitle, SHARED],
        numbers=("hour", "end_hour", "examples", "attacked", "patients", "known"),
        needs="measurement",
        where="datum.kind == kind",
        fields={
            "raw": f"toNumber(datum.{column})",
            "number": f"isValid(datum.patients) && datum.patients < {FEWEST_PATIENTS}"
            " || datum.known === 0 ? null : datum.raw",
        },
        group=DIRECTION + " + ' · ' + datum.kind + ' examples'",
        switches=[KIND],
        views=[View(alt.layer(cells, text).properties(width=WIDTH, height=alt.Step(16)))],
    )
