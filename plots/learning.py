"""The loss and the scores of each fold's network, by epoch of the training."""

from typing import Any

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import AUROC, COUNT_AXIS, NUMBER, SCORE_AXIS, SHARE, from_zero, legend

LOSS: dict[str, Any] = {"scale": from_zero(0.1), "axis": alt.Axis(format=NUMBER, tickCount=5)}
QUANTITIES: dict[str, tuple[str, dict[str, Any]]] = {
    "train_loss": ("loss, training batches", LOSS),
    "held_out_loss": ("loss, held-out fold", LOSS),
    "auroc": ("AUROC, held-out fold", {"scale": AUROC, "axis": SCORE_AXIS}),
    "auprc": ("AUPRC, held-out fold", {"scale": SHARE, "axis": SCORE_AXIS}),
}


def _view(quantity: str) -> View:
    title, options = QUANTITIES[quantity]
    line = (
        alt.Chart()
        .mark_line(strokeWidth=1.8, clip=True)
        .encode(
            x=alt.X("epoch:Q", title="epoch", scale=from_zero(1), axis=COUNT_AXIS),
            y=alt.Y("value:Q", title=title, **options),
            color=alt.Color(
                "fold:O", title="fold", scale=alt.Scale(scheme="viridis"), legend=legend()
            ),
            tooltip=tooltip("fold", "epoch:d", "value:.4f"),
        )
        .properties(width=380, height=150)
    )
    return View(line, f"datum.quantity == '{quantity}'")


FIGURE = Figure(
    title="Learning curves",
    subtitle=["Each fold has one line."],
    numbers=("fold", "epoch", "value"),
    needs="value",
    views=[_view(quantity) for quantity in QUANTITIES],
)
