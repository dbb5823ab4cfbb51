"""What the charts of the report have in common: colours, and a title that names the data."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from icu_adversarial.report.vega import LABEL_LIMIT, template

# The colours of Okabe and Ito (2008). People with any colour blindness can distinguish them.
BLUE, VERMILION, DARK = "#0072B2", "#D55E00", "#555555"
UNSUPPORTED = "#d0d0d0"  # too few patients, or an undefined value
ABSENT = "#f2f2f2"  # not in these data
NO_ROWS = alt.InlineData(values=[])  # of a chart that is not finished
WHO = {"0→1": "survivors predicted to die (0→1)", "1→0": "deaths predicted to survive (1→0)"}
GOALS = {  # what a reader calls an objective
    "robust_l1": "smallest change (robust_l1)",
    "robust_l0": "fewest changed values (robust_l0)",
}


def goal(objective: str) -> str:
    """What a reader calls an objective."""
    return GOALS.get(objective, objective)


def finished(
    chart: alt.TopLevelMixin,
    rows: Sequence[dict[str, Any]],
    title: str,
    source: str,
    subtitle: Sequence[str] = (),
) -> dict[str, Any]:
    """Vega-Lite with rows, the fonts of all figures, a title, and the name of the data below it."""
    spec: dict[str, Any] = chart.to_dict()
    config = template("coverage")["config"]
    config["axis"]["labelLimit"] = LABEL_LIMIT
    return spec | {
        "config": config,
        "data": {"values": rows},  # Altair would look at every row
        "title": {"text": title, "subtitle": [source, *subtitle]},
    }


def choice(
    name: str, label: str, options: Sequence[Any], labels: Sequence[str], first: Any = None
) -> alt.Parameter:
    """A switch for the reader: radio buttons, or a list if there are many options.

    Args:
        name: Its name in expressions.
        label: The text in front of it.
        options, labels: The values, and what the reader sees.
        first: The value at the start. None: the first option.
    """
    bind = alt.BindRadioSelect(
        input="radio" if len(options) <= 3 else "select",
        options=list(options),
        labels=list(labels),
        name=f"{label} ",
    )
    return alt.param(name=name, value=options[0] if first is None else first, bind=bind)
