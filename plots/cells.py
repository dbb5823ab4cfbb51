"""The map of errors: where in the record an everyday error flips the network."""

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import NUMBER, legend

cells = (
    alt.Chart()
    .mark_rect(invalid=None)
    .encode(
        x=alt.X(
            "hour:Q",
            title="time since ICU admission (h)",
            axis=alt.Axis(
                values=[*range(0, 132, 6)], labelOverlap="greedy", grid=False, format="d"
            ),
            scale=alt.Scale(nice=False, zero=True),
        ),
        x2="end_hour:Q",
        y=alt.Y("measurement:N", sort=None, title=None),
        color=alt.Color(
            "per_1000:Q",
            title=["flips per 1,000", "errors here"],
            scale=alt.Scale(
                scheme="magma", reverse=True, domain=alt.DomainUnionWith(unionWith=[0, 1])
            ),
            legend=legend(gradientLength=260, format=NUMBER),
        ),
        tooltip=tooltip("measurement", "hour:d", "patients:d", "per_1000:.3g"),
    )
)

FIGURE = Figure(
    title="Where an everyday error flips the network",
    subtitle=[
        "Share of all single errors of the catalogue at this measurement and hour that flip it.",
        "White: fewer than 5 patients have a value there. Caught errors are left out.",
    ],
    numbers=("hour", "end_hour", "patients", "per_1000"),
    needs="per_1000",
    views=[View(cells.properties(width=480, height=alt.Step(16)))],
)
