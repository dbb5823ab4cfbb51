"""The map of A, the mean change of each cell."""

from plots.heatmap import RANGE, heatmap
from plots.theme import from_zero

FIGURE = heatmap(
    "a",
    "Mean change of each cell per attacked stay (A)",
    [
        "Mean over all attacked stays. A failed attack counts as 0.",
        f"1 is the {RANGE}.",
    ],
    ["A: mean change", "(1 = winsorised", "range)"],
    from_zero(0.001),
)
