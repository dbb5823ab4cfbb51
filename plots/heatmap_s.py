"""The map of S, the susceptibility of the literature."""

from plots.heatmap import RANGE, heatmap
from plots.theme import from_zero

FIGURE = heatmap(
    "s",
    "Susceptibility of each cell (S = GMP · GPP)",
    [
        "GMP: largest change of the cell. GPP: share of the examples that change the cell.",
        f"A change of 1 is the {RANGE}.",
    ],
    ["S: largest change", "· share of examples"],
    from_zero(0.001),
)
