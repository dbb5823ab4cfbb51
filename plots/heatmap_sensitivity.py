"""The map of sensitivity, on a logarithmic scale because some values are very large."""

import altair as alt

from plots.heatmap import RANGE, heatmap

FIGURE = heatmap(
    "sensitivity",
    "Sensitivity of each cell (GPP / GANZP)",
    [
        "Share of the examples that change the cell, divided by the mean size of these changes.",
        "A high value: the cell is changed often and by little.",
        f"A size of 1 is the {RANGE}.",
    ],
    ["sensitivity:", "share of examples", "/ mean size", "(logarithmic)"],
    alt.Scale(type="symlog", constant=0.1, domain=alt.DomainUnionWith(unionWith=[0, 10])),
    values=(0, 0.1, 0.3, 1, 3, 10),
)
