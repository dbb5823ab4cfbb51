"""A susceptibility map with a logarithmic scale, because some sensitivities are very large."""

import altair as alt

from plots.heatmap import GREY, UNITS, heatmap

FIGURE = heatmap(
    alt.Scale(type="symlog", constant=0.1, domain=alt.DomainUnionWith(unionWith=[0, 10])),
    [f"All panels have the same logarithmic colour scale. {GREY}", UNITS],
    values=(0, 0.1, 0.3, 1, 3, 10),
)
