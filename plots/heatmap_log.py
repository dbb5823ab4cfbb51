"""As heatmap, with a logarithmic scale: one hardly moved cell has a huge sensitivity."""

import altair as alt

from plots.heatmap import GREY, UNITS, heatmap

FIGURE = heatmap(
    alt.Scale(type="symlog", constant=0.1, domain=alt.DomainUnionWith(unionWith=[0, 10])),
    [f"One logarithmic colour scale for all panels. {GREY}", UNITS],
    values=(0, 0.1, 0.3, 1, 3, 10),
)
