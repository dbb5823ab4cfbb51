"""How often examples for one model also flip another model."""

import altair as alt

from plots.frame import DIRECTION, TITLE, Figure, View, X, Y, tooltip
from plots.theme import SHARE, UNSUPPORTED, legend

base = alt.Chart().encode(
    x=alt.X(
        f"{X}:N", sort=None, title="model that the example is tried on", axis=alt.Axis(labelAngle=0)
    ),
    y=alt.Y(f"{Y}:N", sort=None, title=["example made", "for model"]),
)
cells = base.mark_rect(invalid=None).encode(
    color=alt.Color(
        "flipped:Q",
        title=["share of examples", "that flip the model", "in the column"],
        scale=alt.Scale(scheme="magma", reverse=True, domain=SHARE.domain),
        legend=legend(gradientLength=160, format=".1f"),
        condition={"test": "!isValid(datum.flipped)", "value": UNSUPPORTED},
    ),
    tooltip=tooltip("attacked", "scored", "flipped:.3f", "examples:,d"),
)
text = (
    base.transform_filter("isValid(datum.flipped)")
    .mark_text(fontSize=12)
    .encode(
        text=alt.Text("flipped:Q", format=".2f"),
        color=alt.condition("datum.flipped > 0.5", alt.value("white"), alt.value("black")),
    )
)

FIGURE = Figure(
    title=TITLE,
    subtitle=[
        "Share of the best examples of one model (row) that flip the model in the column.",
        "The clinical values change by the same amount in both models.",
        "The ensemble is the mean of the folds' logits. Grey: no example.",
    ],
    numbers=("flipped", "examples"),
    needs="attacked",
    group=DIRECTION,
    views=[View(alt.layer(cells, text).properties(width=alt.Step(80), height=alt.Step(40)))],
)
