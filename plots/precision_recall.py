"""The precision and recall of each model, compared with chance."""

import altair as alt

from plots.curves import SIZE, SPLIT, line
from plots.frame import Figure, View
from plots.headings import told
from plots.theme import GREY, SCORE_AXIS, SHARE

chance = alt.Chart().transform_aggregate(prevalence="max(prevalence)")
chance = chance.transform_filter("isValid(datum.prevalence)")
rule = chance.mark_rule(color=GREY, strokeDash=[4, 4]).encode(y=alt.Y("prevalence:Q", scale=SHARE))
label = chance.transform_calculate(
    text="'chance: ' + format(datum.prevalence, '.1%') + (long_stays ? ' long stays' : ' deaths')"
).mark_text(align="left", baseline="bottom", dy=-3, color="#555555", fontSize=12)
label = label.encode(x=alt.value(6), y=alt.Y("prevalence:Q", scale=SHARE), text="text:N")
lines = line(
    alt.X(
        "recall:Q",
        title=told("recall: share of the deaths that are predicted"),
        scale=SHARE,
        axis=SCORE_AXIS,
    ),
    alt.Y(
        "precision:Q",
        title=told("precision: share of the predicted deaths that die"),
        scale=SHARE,
        axis=SCORE_AXIS,
    ),
    "recall",
    "recall:.3f",
    "precision:.3f",
)

FIGURE = Figure(
    title="Precision and recall",
    subtitle=["Grey: chance, which is the share of deaths."],
    numbers=("recall", "precision", "prevalence"),
    needs="precision",
    group=SPLIT,
    views=[View(alt.layer(rule, label, lines).properties(**SIZE))],
)
