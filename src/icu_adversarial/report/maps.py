"""The interactive map: hour and measurement, with switches for what is shown."""

import json
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS
from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS
from icu_adversarial.report.html import titled
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.look import (
    ABSENT,
    DARK,
    NO_ROWS,
    UNSUPPORTED,
    WHO,
    choice,
    finished,
    goal,
)

STATISTICS = {  # what each one means; the text up to the colon is its name
    "a": "A: mean change of the cell over all attacked stays. A failed attack counts as 0.",
    "gpp": "GPP: share of the examples that change the cell.",
    "ganzp": "GANZP: mean size of the change, over the examples that change the cell.",
    "s": "S: largest change of the cell, multiplied by GPP. It is the statistic of Sun et al. 2018."
    " It grows with the number of examples.",
    "sensitivity": "Sensitivity: GPP divided by GANZP.",
}
NUMBERS = ("a", "a_low", "a_high", "gpp", "ganzp", "s", "sensitivity")
CSV = ("o", "d", "hour", "end_hour", "m", "patients", "known", *NUMBERS)
WIDTH = 800
DIGITS = "%.3g"  # of a number in the page, which must stay small


def map_chart(results: Results) -> dict[str, Any]:
    """The map as Vega-Lite. Its rows have no numbers of a cell that too few patients have."""
    cells = _rows(results)
    names = list(dict.fromkeys(cells.measurement))
    labels = [titled(name) for name in names]
    objectives = list(results.attacks)
    coded = cells.assign(
        o=cells.objective.map(objectives.index),
        d=cells.direction.map(DIRECTIONS.index),
        m=cells.measurement.map(names.index),
    )
    largest = cells.groupby("objective")[[*STATISTICS]].max().fillna(1)
    highest = [largest.loc[name].to_dict() for name in objectives]
    shown = coded[(coded.o == 0) & (coded.d == 0)]
    at = shown.loc[shown.a.fillna(-1).idxmax()]
    text = coded.to_csv(columns=CSV, index=False, float_format=DIGITS, lineterminator="\n")
    chart = alt.layer(*_layers(), data=NO_ROWS).properties(width=WIDTH, height=alt.Step(20))
    hours = sorted(cells.hour.unique().tolist())
    step = hours[1] - hours[0] if len(hours) > 1 else 1
    chart = chart.add_params(
        choice("objective", "Goal", range(len(objectives)), [goal(name) for name in objectives]),
        choice("direction", "Who", range(2), [results.worded(WHO[d]) for d in DIRECTIONS]),
        choice(
            "statistic",
            "Statistic",
            list(STATISTICS),
            [said.partition(":")[0] for said in STATISTICS.values()],
        ),
        alt.param(
            name="at_hour",
            value=int(at.hour),
            bind=alt.BindRange(
                input="range", min=hours[0], max=hours[-1], step=step, name="Cell: hour "
            ),
        ),
        choice("at_row", "Cell: measurement", range(len(names)), labels, int(at.m)),
        alt.param(name="highest", value=highest),
        alt.param(name="labels", value=labels),
    )
    spec = finished(chart, [], "", results.source)
    spec["data"] = {
        "values": text,
        "format": {"type": "csv", "parse": dict.fromkeys(CSV, "number")},
    }
    names_of = {name: said.partition(":")[0] for name, said in STATISTICS.items()}
    spec["title"]["text"] = {"expr": f"{json.dumps(names_of)}[statistic] + ' of each cell'"}
    spec["title"]["subtitle"] = {
        "expr": f"[{json.dumps(results.source)}, {json.dumps(STATISTICS)}[statistic]]"
    }
    spec["title"]["offset"] = 34  # the line about the chosen cell is below the title
    return spec


def _rows(results: Results) -> pd.DataFrame:
    """The cells of all objectives. Numbers are missing where too few patients have a change."""
    found = pd.concat(
        [attack.cells.assign(objective=name) for name, attack in results.attacks.items()],
        ignore_index=True,
    )
    few = found.patients < FEWEST_PATIENTS
    found[[*NUMBERS]] = found[[*NUMBERS]].where(~few, np.nan)
    found["patients"] = found.patients.where(~few, -1)
    return found


def _layers() -> list[alt.Chart]:
    """The cells, the ring around the chosen cell, and a line of text about it."""
    base = (
        alt.Chart()
        .transform_filter("datum.o == objective && datum.d == direction")
        .transform_calculate(
            measurement="labels[datum.m]",
            number="datum[statistic]",
            hours="datum.hour + ' to ' + datum.end_hour",
            interval="statistic == 'a' && isValid(datum.a_low) ? format(datum.a_low, '.3g')"
            " + ' to ' + format(datum.a_high, '.3g') : 'none'",
            who=f"datum.patients < {FEWEST_PATIENTS} ? 'fewer than {FEWEST_PATIENTS}'"
            " : '' + datum.patients",
        )
        .transform_calculate(
            value="datum.known == 0 ? 'not in these data'"
            " : isValid(datum.number) ? format(datum.number, '.3g') : 'not shown'",
        )
    )
    x = alt.X(
        "hour:Q",
        title="time since ICU admission (h)",
        scale=alt.Scale(nice=False, zero=True),
        axis=alt.Axis(
            values=[*range(0, 132, 6)], labelOverlap="greedy", grid=False, format="d", domain=False
        ),
    )
    y = alt.Y("measurement:N", title=None, sort=alt.EncodingSortField(field="m", op="min"))
    told = [
        alt.Tooltip("measurement:N"),
        alt.Tooltip("hours:N", title="hours from ICU admission"),
        alt.Tooltip("value:N", title="statistic"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("who:N", title="patients"),
    ]
    cells = base.mark_rect(invalid=None).encode(
        x=x,
        x2="end_hour:Q",
        y=y,
        color=alt.Color(
            "number:Q",
            scale=alt.Scale(
                type="sqrt",
                scheme="magma",
                reverse=True,
                domain=[0, alt.ExprRef("highest[objective][statistic]")],
            ),
            legend=alt.Legend(title=None, gradientLength=260, format=".2~g"),
            condition=[
                {"test": "datum.known === 0", "value": ABSENT},
                {"test": "!isValid(datum.number)", "value": UNSUPPORTED},
            ],
        ),
        tooltip=told,
    )
    chosen = base.transform_filter("datum.hour == at_hour && datum.m == at_row")
    ring = chosen.mark_rect(
        fillOpacity=0, stroke="#0072B2", strokeWidth=2.5, strokeOpacity=1
    ).encode(x=x, x2="end_hour:Q", y=y, tooltip=told)  # it is above the cell
    text = (
        chosen.transform_calculate(
            line="datum.measurement + ', hours ' + datum.hours + ': ' + datum.value"
            " + (datum.interval == 'none' ? '' : ' (95 % interval ' + datum.interval + ')')"
            " + ', ' + datum.who + ' patients'"
        )
        .mark_text(align="left", baseline="bottom", fontSize=14, color=DARK, y=-8)
        .encode(x=alt.value(0), text="line:N")
    )
    return [cells, ring, text]
