"""The measurements ranked by susceptibility, over all folds and for each fold."""

import altair as alt

from plots.frame import DIRECTION, KIND, Figure, View, tooltip
from plots.theme import DARK, NUMBER, SKY, from_zero

Y = alt.Y("measurement:N", title=None, sort=alt.EncodingSortField(field="place", op="min"))
SCALE = from_zero(0.001)
base = alt.Chart().encode(y=Y)
pooled = base.transform_filter("datum.part == 'all' && datum.known !== 0")
bars = pooled.mark_bar(color=SKY).encode(
    x=alt.X(
        "a:Q",
        title=["A: mean change per attacked stay, summed over the hours", "(1 = winsorised range)"],
        stack=None,
        scale=SCALE,
        axis=alt.Axis(format=NUMBER, tickCount=6),
    ),
    tooltip=tooltip(
        "measurement",
        "rank:d",
        "rank_low:d",
        "rank_high:d",
        *("a:.4g", "a_low:.4g", "a_high:.4g", "a_observed:.4g", "s:.4g", "sensitivity:.4g"),
    ),
)
intervals = (
    pooled.transform_filter("isValid(datum.a_low) && isValid(datum.a_high)")
    .mark_rule(strokeWidth=1.5)
    .encode(x=alt.X("a_low:Q", scale=SCALE), x2="a_high:Q")
)
folds = (
    base.transform_filter("datum.part != 'all' && datum.known !== 0")
    .mark_tick(orient="vertical", thickness=1.5, size=11, color="#D55E00", opacity=0.9)
    .encode(x=alt.X("a:Q", scale=SCALE), tooltip=tooltip("measurement", "part", "a:.4g"))
)
absent = (
    base.transform_filter("datum.part == 'all' && datum.known === 0")
    .mark_text(align="left", dx=5, color=DARK, fontSize=11, fontStyle="italic")
    .encode(x=alt.value(0), text=alt.value("not in these data"))
)

FIGURE = Figure(
    title="Susceptibility of each measurement, A",
    subtitle=[
        "1 is the winsorised range: the distance from the lower to the upper percentile.",
        "Black line: 95 % interval over subjects and folds. Orange ticks: single folds.",
    ],
    numbers=(
        *("a", "a_low", "a_high", "rank", "rank_low", "rank_high", "a_observed", "s"),
        *("sensitivity", "known", "examples", "attacked"),
    ),
    needs="measurement",
    where="datum.kind == kind && (isValid(datum.a) || datum.known === 0)",
    fields={
        "part": "isValid(datum.fold) && datum.fold !== '' ? '' + datum.fold : 'all'",
        "place": "datum.part != 'all' ? null : datum.known === 0 ? 1000"
        " : isValid(datum.rank) ? datum.rank : 999",
    },
    group=DIRECTION + " + ' · ' + datum.kind + ' examples'",
    switches=[KIND],
    views=[
        View(
            alt.layer(bars, intervals, folds, absent).properties(width=420, height=alt.Step(17)),
            own=("y",),
        )
    ],
)
