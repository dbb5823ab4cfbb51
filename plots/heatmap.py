"""A susceptibility map: one value for each hour and measurement."""

from collections.abc import Sequence

import altair as alt

from plots.frame import DIRECTION, KIND, TITLE, Y_LABEL, Figure, View, Y
from plots.theme import ABSENT, DARK, FEWEST_PATIENTS, NUMBER, UNSUPPORTED, from_zero, legend

WIDTH = 480
UNITS = "|P| is in model input units: 1 is the winsorised range of a measurement."
GREY = f"Grey: fewer than {FEWEST_PATIENTS} patients, or undefined."


def heatmap(scale: alt.Scale, subtitle: Sequence[str], values: Sequence[float] = ()) -> Figure:
    """A map.

    Args:
        scale: The colour scale.
        subtitle: As for `Figure`.
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
            title=Y_LABEL,
            scale=scale,
            legend=legend(gradientLength=260, format=NUMBER, **ticks),
            condition=[
                {"test": "datum.known === 0", "value": ABSENT},
                {"test": "!isValid(datum.number)", "value": UNSUPPORTED},
            ],
        ),
        tooltip=[
            alt.Tooltip("measurement:N"),
            alt.Tooltip("hour:Q"),
            alt.Tooltip("raw:Q", format=".4g", title=Y),
            alt.Tooltip("patients:Q"),
        ],
    )
    text = (
        base.transform_filter("datum.known === 0 && datum.hour === 0")
        .mark_text(color=DARK, fontSize=11, fontStyle="italic")
        .encode(x=alt.value(WIDTH / 2), text=alt.value("not in these data"))
    )
    return Figure(
        title=TITLE,
        subtitle=subtitle,
        numbers=("hour", "end_hour", "examples", "attacked", "patients", "known"),
        needs="measurement",
        where="datum.kind == kind",
        fields={
            "raw": f"toNumber(datum['{Y}'])",
            "number": f"isValid(datum.patients) && datum.patients < {FEWEST_PATIENTS}"
            " || datum.known === 0 ? null : datum.raw",
        },
        group=DIRECTION + " + ' · ' + datum.kind + ' examples'",
        switches=[KIND],
        views=[View(alt.layer(cells, text).properties(width=WIDTH, height=alt.Step(16)))],
    )


FIGURE = heatmap(from_zero(0.001), [f"All panels have the same colour scale. {GREY}", UNITS])
