"""Parts of the figures that compare the curves of models, for each data split."""

import altair as alt

from plots.frame import tooltip
from plots.theme import GREY, MODELS, SHARE, colours, dashes, line_legend

SPLIT = "datum.split == 'test' ? 'test set' : datum.split"
SIZE = {"width": 330, "height": 330}


def model_colour() -> alt.Color:
    """The colour of each model."""
    scale = colours(MODELS)
    return alt.Color("curve:N", title="model", sort=None, scale=scale, legend=line_legend())


def model_dashes() -> alt.StrokeDash:
    """The dashes of each model."""
    return alt.StrokeDash("curve:N", title="model", scale=dashes(MODELS), legend=line_legend())


def line(x: alt.X, y: alt.Y, order: str, *columns: str) -> alt.Chart:
    """One line per model, drawn in the order of the column `order`."""
    return (
        alt.Chart()
        .mark_line(strokeWidth=2.2)
        .encode(
            x=x,
            y=y,
            order=alt.Order(f"{order}:Q"),
            color=model_colour(),
            strokeDash=model_dashes(),
            tooltip=tooltip("curve", *columns),
        )
    )


def diagonal() -> alt.Chart:
    """The line y = x of axes from 0 to 1, once per panel."""
    return (
        alt.Chart()
        .transform_filter("datum.row_of_group == 1")
        .mark_rule(color=GREY, strokeDash=[4, 4])
        .encode(
            x=alt.X(datum=0, type="quantitative", scale=SHARE),
            y=alt.Y(datum=0, type="quantitative", scale=SHARE),
            x2=alt.X2(datum=1),
            y2=alt.Y2(datum=1),
        )
    )
