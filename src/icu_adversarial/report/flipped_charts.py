"""The charts about who is easily flipped."""

import json
from typing import Any

import altair as alt
import pandas as pd

from icu_adversarial.analyze import easily_flipped as groups
from icu_adversarial.analyze.groups import DIRECTIONS
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.look import BLUE, NO_ROWS, VERMILION, WHO, choice, finished, goal

DIVISIONS = {
    groups.RISK: "predicted risk",
    "age": "age (years)",
    "sex": "sex",
    "icu_type": "unit",
    groups.MEASURED: "number of measured values",
}
QUANTITIES = {
    groups.MEDIAN_CHANGED: "median number of changed values",
    groups.MEDIAN_SIZE: "median sum of changes",
    groups.FLIPPED: "share of the stays that are flipped",
}
CURVES = {
    groups.WITHIN_CHANGED: "at most k changed values",
    groups.WITHIN_SIZE: "a sum of changes of at most ε",
}
CHOSEN = "datum.o == objective && datum.d == direction"
COLUMNS = ["o", "d", "division", "group", "quantity", "at", "value", "low", "high", "patients"]


def flipped_rows(results: Results) -> pd.DataFrame:
    """All numbers of all objectives, with the numbers of objectives and directions."""
    found = pd.concat(
        [attack.flipped.assign(o=place) for place, attack in enumerate(results.attacks.values())],
        ignore_index=True,
    )
    found["d"] = found.direction.map(DIRECTIONS.index)
    return found[found["value"].notna()][COLUMNS]


def _switches(results: Results) -> list[alt.Parameter]:
    objectives = list(results.attacks)
    return [
        choice("objective", "Goal", range(len(objectives)), [goal(name) for name in objectives]),
        choice("direction", "Who", range(2), [results.worded(WHO[d]) for d in DIRECTIONS]),
    ]


def _values(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for Vega-Lite. A limit that is not known is null."""
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def groups_chart(rows: pd.DataFrame, results: Results) -> dict[str, Any]:
    """Number and size of the changes of each group. rows: Of `flipped_rows`."""
    shown = rows[rows.quantity.isin(QUANTITIES)].assign(
        place=lambda found: found.groupby(["o", "d", "quantity"]).cumcount()
    )
    shown["division"] = shown.division.replace(DIVISIONS)
    base = alt.Chart().encode(
        y=alt.Y(
            "name:N",
            title=None,
            sort=alt.EncodingSortField(field="place", op="min"),
            axis=alt.Axis(minExtent=220),
        ),
        tooltip=[
            "group:N",
            *(alt.Tooltip(f"{name}:Q", format=".3g") for name in ("value", "low", "high")),
            "patients:Q",
        ],
    )
    scale = alt.Scale(zero=True)
    rule = base.mark_rule(strokeWidth=2.5, color=BLUE).encode(
        x=alt.X("low:Q", scale=scale, title="value, with its 95 % interval"), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=80, color=BLUE, opacity=1).encode(
        x=alt.X("value:Q", scale=scale, title="value, with its 95 % interval")
    )
    order = [groups.ALL, *DIVISIONS.values()]
    chart = (
        alt.layer(rule, point)
        .properties(width=560, height=alt.Step(22))
        .facet(
            data=NO_ROWS,
            row=alt.Row(
                "division:N",
                sort=order,
                title=None,
                header=alt.Header(labelOrient="top", labelAnchor="start", labelFontWeight="bold"),
            ),
        )
        .resolve_scale(y="independent")
        .transform_filter(f"{CHOSEN} && datum.quantity == quantity")
        .transform_calculate(name="datum.group + ' · ' + datum.patients + ' patients'")
        .add_params(
            *_switches(results),
            choice("quantity", "Number", list(QUANTITIES), list(QUANTITIES.values())),
        )
    )
    spec = finished(chart, _values(shown), "", results.source)
    spec["title"]["text"] = {"expr": f"'What a flip needs: ' + {json.dumps(QUANTITIES)}[quantity]"}
    return spec


def curves_chart(rows: pd.DataFrame, results: Results) -> dict[str, Any]:
    """The share flipped by number or size of the changes. rows: Of `flipped_rows`."""
    curves = rows[rows.quantity.isin(CURVES)]
    everyone = curves[curves.division == groups.ALL]
    keys = ["o", "d", "quantity", "at"]
    shown = curves[curves.division != groups.ALL].merge(
        everyone[[*keys, "value"]].rename(columns={"value": "all"}), on=keys
    )
    x = alt.X(
        "at:Q",
        scale=alt.Scale(type="log", nice=False),
        title=["number of values, k, or sum of changes, ε", "(logarithmic)"],
        axis=alt.Axis(format="~g", values=[0.1, 0.3, 1, 3, 10, 30, 100], grid=True),
    )
    share = alt.Scale(domain=[0, 1])
    y = alt.Y("value:Q", scale=share, title="share flipped", axis=alt.Axis(format=".0%"))
    base = alt.Chart().encode(x=x)
    band = base.mark_area(color=BLUE, opacity=0.2).encode(
        y=alt.Y("low:Q", scale=share, title="share flipped"), y2="high:Q"
    )
    line = base.mark_line(color=BLUE, strokeWidth=2.2, point={"color": BLUE, "size": 25}).encode(
        y=y,
        tooltip=[
            "group:N",
            alt.Tooltip("at:Q", title="at most"),
            *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("value", "low", "high", "all")),
        ],
    )
    others = base.mark_line(color=VERMILION, strokeDash=[6, 4], strokeWidth=1.6).encode(
        y=alt.Y("all:Q", scale=share, title="share flipped")
    )
    # without any group of five stays, the figure is empty
    present = [name for name in DIVISIONS if (shown.division == name).any()] or [*DIVISIONS]
    chart = (
        alt.layer(band, others, line)
        .properties(width=300, height=170)
        .facet(
            data=NO_ROWS,
            facet=alt.Facet("group:N", title=None, sort=shown.group.unique().tolist()),
            columns=3,
        )
        .transform_filter(f"{CHOSEN} && datum.quantity == quantity && datum.division == division")
        .add_params(
            *_switches(results),
            choice("division", "Groups by", present, [DIVISIONS[name] for name in present]),
            choice("quantity", "Flipped with", list(CURVES), list(CURVES.values())),
        )
    )
    return finished(
        chart, _values(shown), "Share of the attacked stays that are flipped", results.source
    )
