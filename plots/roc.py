"""The receiver operating characteristic of each model."""

import altair as alt

from plots.curves import SIZE, SPLIT, diagonal, line
from plots.frame import Figure, View
from plots.theme import SCORE_AXIS, SHARE

lines = line(
    alt.X("fpr:Q", title="false positive rate (1 − specificity)", scale=SHARE, axis=SCORE_AXIS),
    alt.Y("tpr:Q", title="true positive rate (recall, sensitivity)", scale=SHARE, axis=SCORE_AXIS),
    "fpr",
    "fpr:.3f",
    "tpr:.3f",
)

FIGURE = Figure(
    title="Receiver operating characteristic",
    subtitle=["Diagonal: chance."],
    numbers=("fpr", "tpr"),
    needs="tpr",
    group=SPLIT,
    views=[View(alt.layer(diagonal(), lines).properties(**SIZE))],
)
