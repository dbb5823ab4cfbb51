"""Fonts, sizes, colours, axes and number formats of every figure."""

from typing import Any

import altair as alt

CONFIG: dict[str, Any] = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "gridColor": "#e8e8e8",
        "labelColor": "#222222",
    },
    "legend": {
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "labelLimit": 400,
    },
    "header": {"labelFontSize": 13, "labelColor": "#222222", "labelLimit": 900},
    "title": {
        "fontSize": 17,
        "anchor": "start",
        "subtitleFontSize": 12.5,
        "subtitleColor": "#555555",
        "subtitlePadding": 6,
        "offset": 12,
    },
    "view": {"stroke": "#bbbbbb"},
}

# The colours of Okabe and Ito (2008). People with any colour blindness can distinguish them.
BLUE, SKY, VERMILION, GREEN, PURPLE = "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7"
ORANGE, YELLOW = "#E69F00", "#F0E442"
GREY, DARK, RED = "#999999", "#555555", "#b2182b"
UNSUPPORTED = "#d0d0d0"  # too few patients, or an undefined value
ABSENT = "#f2f2f2"  # not in these data
FEWEST_PATIENTS = 5  # a cell with fewer perturbed patients is grey

MODELS = {  # colour and dashes of each model's lines
    "network": (BLUE, [1, 0]),
    "logistic regression": (VERMILION, [7, 3]),
    "gradient boosting": (GREEN, [2, 2]),
}
KINDS = {"first": (VERMILION, [6, 3]), "best": (BLUE, [1, 0])}
KIND_LABELS = "{first: 'first: found first', best: 'best: the smallest'}[datum.label]"

LOWEST_AUROC = 0.4  # lowest value of the axes of AUROC; 0.5 is chance
SHARE = alt.Scale(domain=[0, 1])
AUROC = alt.Scale(domain=[LOWEST_AUROC, 1])
SCORE_AXIS = alt.Axis(format=".1f", tickCount=6)  # of a score in [0, 1]
PERCENT_AXIS = alt.Axis(format=".0%", tickCount=5)
# Vega's tickMinStep does not prevent ticks at one half, so they are hidden.
IS_WHOLE = "datum.value % 1 == 0"
ONLY_WHOLE: Any = {"condition": {"test": IS_WHOLE, "value": 1}, "value": 0}
COUNT_AXIS = alt.Axis(
    labelExpr=f"{IS_WHOLE} ? format(datum.value, ',d') : ''",
    tickOpacity=ONLY_WHOLE,
    gridOpacity=ONLY_WHOLE,
)
NUMBER = ".3~g"  # gives different labels to the ticks of an axis that starts at 0, in any unit


def from_zero(at_least: float) -> alt.Scale:
    """A scale from 0 to the largest value of all revisions, or to `at_least` if that is more."""
    return alt.Scale(domain=alt.DomainUnionWith(unionWith=[0, at_least]))


def colours(table: dict[str, tuple[str, list[int]]]) -> alt.Scale:
    """MODELS or KINDS as a scale of colour."""
    names = list(table)
    return alt.Scale(domain=names, range=[table[name][0] for name in names])


def dashes(table: dict[str, tuple[str, list[int]]]) -> alt.Scale:
    """MODELS or KINDS as a scale of dashes."""
    names = list(table)
    return alt.Scale(domain=names, range=[table[name][1] for name in names])


def legend(**options: Any) -> alt.Legend:
    """A legend that is hidden if there is nothing to show (`drawn` is a parameter of the frame)."""
    parts = ("labelOpacity", "symbolOpacity", "titleOpacity", "gradientOpacity")
    hidden: dict[str, Any] = dict.fromkeys(parts, alt.ExprRef("drawn"))
    return alt.Legend(**hidden, **options)


def line_legend(**options: Any) -> alt.Legend:
    """A legend of lines."""
    return legend(symbolType="stroke", symbolSize=400, symbolStrokeWidth=2.2, **options)
