"""The map of GPP, how often a cell is changed."""

from plots.heatmap import heatmap
from plots.theme import from_zero

FIGURE = heatmap(
    "gpp",
    "Share of examples that change the cell (GPP)",
    ["An example is a change of one stay's record that flips the prediction."],
    ["GPP: share", "of examples"],
    from_zero(0.001),
    form=".3~p",
)
