"""The observed share of deaths for each predicted probability, with the number of stays."""

import altair as alt

from plots.curves import SIZE, SPLIT, diagonal, model_colour, model_dashes
from plots.frame import Figure, View, tooltip
from plots.headings import told
from plots.theme import SCORE_AXIS, SHARE, from_zero, legend

base = alt.Chart().encode(
    x=alt.X(
        "predicted:Q", title=told("predicted probability of death"), scale=SHARE, axis=SCORE_AXIS
    ),
    color=model_colour(),
)
observed = alt.Y("observed:Q", title=told("observed share of deaths"), scale=SHARE, axis=SCORE_AXIS)
line = base.mark_line(strokeWidth=1.2).encode(
    y=observed, order=alt.Order("predicted:Q"), strokeDash=model_dashes()
)
interval = (
    base.transform_filter("isValid(datum.low) && isValid(datum.high)")
    .mark_rule(strokeWidth=1.5, opacity=0.6)
    .encode(y=alt.Y("low:Q", scale=SHARE), y2="high:Q")
)
scale = from_zero(10)
scale.range = [12, 260]
point = base.mark_point(filled=True, opacity=0.75).encode(
    y=observed,
    size=alt.Size(
        "stays:Q",
        title="stays in the bin",
        scale=scale,
        legend=legend(format=",d", tickCount=3, symbolFillColor="#555555", values=[10, 100, 1000]),
    ),
    tooltip=tooltip("curve", "predicted:.3f", "observed:.3f", "low:.3f", "high:.3f", "stays:,d"),
)

FIGURE = Figure(
    title="Reliability of the predicted probability",
    subtitle=[
        "Diagonal: perfect calibration. The area of a point shows its number of stays.",
        "Vertical lines: 95 % intervals of the observed share.",
    ],
    numbers=("predicted", "observed", "stays", "low", "high"),
    needs="observed",
    group=SPLIT,
    views=[View(alt.layer(diagonal(), line, interval, point).properties(**SIZE))],
)
