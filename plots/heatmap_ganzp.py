"""The map of GANZP, how much a cell is changed."""

from plots.heatmap import RANGE, heatmap
from plots.theme import from_zero

FIGURE = heatmap(
    "ganzp",
    "Mean size of a change, as a share of the winsorised range (GANZP)",
    ["Mean over the examples that change the cell.", f"1 is the {RANGE}."],
    ["GANZP: mean size", "(1 = winsorised", "range)"],
    from_zero(0.001),
)
