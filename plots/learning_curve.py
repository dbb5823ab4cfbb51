"""The scores of each model, by the number of training stays."""

import altair as alt

from plots.frame import Figure, View, tooltip
from plots.theme import AUROC, MODELS, SCORE_AXIS, SHARE, colours, dashes
from plots.theme import line_legend as legend

STEPS = [m * 10**e for e in range(1, 7) for m in (1, 2, 5)]
X = alt.X(
    "stays:Q",
    title="training stays (logarithmic scale)",
    scale=alt.Scale(
        type="log", nice=False, padding=15, domain=alt.DomainUnionWith(unionWith=[500, 1000])
    ),
    axis=alt.Axis(format=",d", values=STEPS, labelOverlap="greedy"),
)


def _view(score: str, title: str, scale: alt.Scale) -> View:
    base = alt.Chart().encode(
        x=X,
        color=alt.Color(
            "model:N",
            title="model",
            sort=None,
            scale=colours(MODELS),
            legend=legend(),
        ),
    )
    mean = alt.Y("mean:Q", title=title, scale=scale, axis=SCORE_AXIS)
    area = base.mark_area(opacity=0.15, clip=True).encode(
        y=alt.Y("low:Q", title=title, scale=scale, axis=SCORE_AXIS), y2="high:Q"
    )
    line = base.mark_line(strokeWidth=2.2, clip=True).encode(
        y=mean,
        strokeDash=alt.StrokeDash("model:N", title="model", scale=dashes(MODELS), legend=legend()),
    )
    point = base.mark_point(filled=True, size=50, opacity=1, clip=True).encode(
        y=mean, tooltip=tooltip("model", "stays:,d", "mean:.3f", "sd:.3f")
    )
    chart = alt.layer(area, line, point).properties(width=400, height=240)
    return View(chart, f"datum.score == '{score}'")


FIGURE = Figure(
    title="Learning curve",
    subtitle=["Out-of-fold scores. Line: mean over the folds. Area: ± one standard deviation."],
    numbers=("stays", "mean", "low", "high", "sd"),
    needs="mean",
    views=[_view("auroc", "AUROC", AUROC), _view("auprc", "AUPRC", SHARE)],
)
