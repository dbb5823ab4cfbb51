"""The trials of a search, by each setting that is a number."""

from math import log10

import altair as alt

from plots.theme import NUMBER
from plots.trials import by_setting

SCALE = "split(parent.named, '|')[1]"  # of the panel: number, whole, log2 or log10
SPAN = "toNumber(split(parent.named, '|')[2])"  # of the axis; whole numbers need as many ticks
LABEL = (
    f"{SCALE} == 'log2' ? format(pow(2, datum.value), ',d')"
    f" : {SCALE} == 'log10' ? format(pow(10, datum.value), '{NUMBER}')"
    f" : {SCALE} == 'whole' ? format(datum.value, ',d') : format(datum.value, '.4~g')"
)


def _logarithms(*digits: int) -> str:
    """The logarithms of these digits times each power of ten."""
    return str([round(log10(digit) + power, 6) for power in range(-9, 7) for digit in digits])


ROUND = (  # ticks of a logarithmic axis at round numbers, unless it is very short
    f"{SCALE} != 'log10' || {SPAN} < 0.2 ? null : {SPAN} < 0.5 ? {_logarithms(*range(1, 10))}"
    f" : {SPAN} < 2 ? {_logarithms(1, 2, 5)} : {_logarithms(1)}"
)

FIGURE = by_setting(
    alt.X(
        "at:Q",
        title=None,
        scale=alt.Scale(zero=False),
        axis=alt.Axis(
            tickCount=alt.expr(
                f"test(/log2|whole/, {SCALE}) ? clamp({SPAN}, 1, 5) : {SCALE} == 'log10' ? 9 : 5"
            ),
            values=alt.expr(ROUND),
            labelExpr=LABEL,
            labelOverlap="greedy",
            labelFlush=False,
        ),
    ),
    "setting:.4g",
    ("trial", "value", "setting", "success_rate"),
)
