"""All models and the published numbers in one figure."""

from typing import Any

import altair as alt

from plots.frame import Figure, View
from plots.intervals import beyond, clamped, point, rule
from plots.theme import AUROC, BLUE, GREY, LOWEST_AUROC, SCORE_AXIS, SHARE, VERMILION, legend

KINDS = {  # as studies/published.py names them: colour and shape
    "held-out test set, 95 % interval": (BLUE, "circle"),
    "published": (GREY, "diamond"),
    "LEAK: balanced training stays, ± sd over folds": (VERMILION, "cross"),
}


def _kind(channel: type[alt.Color] | type[alt.Shape], which: int) -> Any:
    return channel(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=list(KINDS), range=[look[which] for look in KINDS.values()]),
        legend=legend(orient="bottom", direction="vertical"),
    )


def _view(score: str, scale: alt.Scale) -> View:
    base = alt.Chart().encode(
        y=alt.Y(
            "model:N",
            title=None,
            sort=alt.EncodingSortField(field="position", op="min"),
            axis=alt.Axis(labelLimit=420),
        ),
        color=_kind(alt.Color, 0),
    )
    x = alt.X("value_shown:Q", title=score, scale=scale, axis=SCORE_AXIS)
    points = point(base, x, "model", "kind", shape=_kind(alt.Shape, 1))
    chart = alt.layer(rule(base, scale), points, beyond(base, x)).properties(
        width=330, height=alt.Step(24)
    )
    return View(chart, f"datum.score == '{score}'", own=("y",))


FIGURE = Figure(
    title="The literature's models on the same folds",
    subtitle=[
        "Published numbers are from other data and other splits. They are only for orientation.",
        "A number at the edge is a value outside the axis.",
    ],
    numbers=("value", "low", "high"),
    needs="value",
    fields=clamped(f"(datum.score == 'AUROC' ? {LOWEST_AUROC} : 0)", "1"),
    views=[_view("AUROC", AUROC), _view("AUPRC", SHARE)],
)
