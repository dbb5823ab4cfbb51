"""The common parts of all figures.

Each figure has one panel per revision, with the name of the data source, a warning about the data,
the notes of its table, switches, and a sentence if there is nothing to show.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

from plots import headings
from plots.headings import LONG_ROW, LONG_TABLE, NOTE_WIDTH
from plots.theme import CONFIG

Chart = alt.Chart | alt.LayerChart | alt.FacetChart
DATA, TITLE = "<DVC_METRIC_DATA>", "<DVC_METRIC_TITLE>"
X, Y, Y_LABEL = "<DVC_METRIC_X>", "<DVC_METRIC_Y>", "<DVC_METRIC_Y_LABEL>"
PANEL = (
    "datum.source + (datum.objective ? '|objective ' + datum.objective : '')"
    " + (datum.rev ? (datum.objective ? ' · ' : '|') + datum.rev : '')"
)
DIRECTION = (
    f"datum.direction + ' · ' + ({LONG_ROW}"
    " ? (datum.direction == '0→1' ? 'short stays predicted to be long'"
    " : 'long stays predicted to be short')"
    " : (datum.direction == '0→1' ? 'survivors predicted to die'"
    " : 'deaths predicted to survive'))"
)
# The number of deaths of a row, or of long stays.
DEATHS = (
    f"format(datum.deaths, ',') + ({LONG_ROW} ? ' long stay' : ' death')"
    " + (datum.deaths == 1 ? '' : 's')"
)


@dataclass(frozen=True)
class Switch:
    """A choice for the reader of the page. A PNG shows the first option.

    Attributes:
        name: Name of the parameter in expressions.
        options: The options, in their order on the page.
        label: Text in front of the options.
        input: radio or select.
    """

    name: str
    options: tuple[str, ...]
    label: str
    input: str = "radio"


KIND = Switch("kind", ("best", "first"), "examples: ")


@dataclass(frozen=True)
class View:
    """One block of a figure. The blocks are placed below each other.

    Attributes:
        chart: The chart of each group of rows.
        where: Condition on `datum` for the rows of this block. Empty for all rows.
        across: Whether the groups are placed side by side instead of below each other.
        own: Channels with a separate scale for each group, e.g. ("y",).
    """

    chart: Chart
    where: str = ""
    across: bool = False
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A template for DVC.

    Attributes:
        title: The title, or the anchor that DVC replaces with the title in dvc.yaml.
        subtitle: The meaning of the marks, one string per line.
        numbers: Columns with numbers. A column may be missing from the table.
        needs: A row without a value in this column is not drawn.
        views: The blocks.
        where: Condition on `datum` and the switches for the rows that are drawn.
        fields: Further columns, name → expression, computed in this order.
        group: Expression for the name of a row's group, which is a heading. Empty for one group.
        group_order: Expression that sorts the groups. The default is the order of the table.
        switches: The choices for the reader.
        under: Expression for a last line in the headings of the panels.
        note_width: Characters of a line of a group's note.
    """

    title: str
    subtitle: Sequence[str]
    numbers: Sequence[str]
    needs: str
    views: Sequence[View]
    where: str = "true"
    fields: dict[str, str] = field(default_factory=dict)
    group: str = ""
    group_order: str = "datum.position"
    switches: Sequence[Switch] = ()
    under: str = ""
    note_width: int = NOTE_WIDTH

    def to_dict(self) -> dict[str, Any]:
        """The Vega-Lite specification, with DVC's anchors in place of the data.

        Raises:
            SchemaValidationError: A chart of a view is not valid Vega-Lite.
        """
        shown = f"isValid(datum['{self.needs}']) && datum['{self.needs}'] !== '' && ({self.where})"
        computed = {
            "panel": PANEL + (f" + '|' + {self.under}" if self.under else ""),
            **self.fields,
            "shown": f"{shown} ? 1 : 0",
            "group": self.group or "''",
            "caption": "datum.note ? '' + datum.note : null",
            "seen": "datum.shown ? datum.caption : null",
            "warned": "datum.warning ? '' + datum.warning : null",
        }
        steps = alt.Chart().transform_window(position="row_number()")  # each step copies its chart
        steps = steps.transform_calculate(**computed)
        steps = steps.transform_calculate(group_order=self.group_order)
        steps = steps.transform_joinaggregate(
            rows="sum(shown)",
            last_note="max(caption)",
            panel_first="min(seen)",
            panel_last="max(seen)",
            panel_warned="max(warned)",
            groupby=["panel"],
        )
        steps = steps.transform_calculate(
            common="datum.panel_first === datum.panel_last ? datum.panel_first : null"
        )
        steps = steps.transform_calculate(top=headings.top())
        chart = alt.VConcatChart(
            vconcat=[*self._panels(), _message()],
            data=alt.InlineData(
                values=DATA,
                name="table",
                format={"type": "json", "parse": dict.fromkeys(self.numbers, "number")},
            ),
            title=alt.TitleParams(self.title, subtitle=headings.told(list(self.subtitle))),
            params=[
                alt.VariableParameter(
                    name="drawn", expr=f"join(pluck(data('table'), '{self.needs}'), '') ? 1 : 0"
                ),
                alt.VariableParameter(name="long_stays", expr=LONG_TABLE),
                *(_parameter(switch) for switch in self.switches),
            ],
            spacing=18,
            transform=steps.transform,
            config=alt.Config(**CONFIG),
        )
        # Altair's schema knows no facet within a facet
        filled: dict[str, Any] = headings.with_expressions(chart.to_dict(validate=False))
        if "long_stays" not in str({**filled, "params": []}):
            filled["params"] = [p for p in filled["params"] if p["name"] != "long_stays"]
        return filled

    def _panels(self) -> list[alt.FacetChart]:
        """The views, each with one panel per revision. Only the first view has their headings."""
        panels = []
        for number, view in enumerate(self.views):
            unit = view.chart.spec if isinstance(view.chart, alt.FacetChart) else view.chart
            unit.to_dict()  # validates it
            heading = alt.Header(
                labelExpr="split(datum.label, '|')",
                labelOrient="top",
                labelAnchor="start",
                labelAlign="left",
                labelPadding=6,
            )
            groups = alt.RowColumnEncodingFieldDef(
                field="heading",
                type="nominal",
                title=None,
                header=heading if not view.across or number == 0 else None,
                sort=alt.EncodingSortField(field="group_order", op="min"),
            )
            place: dict[str, Any] = {"column" if view.across else "row": groups}
            own: dict[str, Any] = dict.fromkeys(view.own, "independent")
            title: dict[str, Any] = {"title": headings.title("top")} if number == 0 else {}
            inner = alt.FacetChart(spec=view.chart, facet=alt.FacetMapping(**place), **title)
            inner = inner.resolve_scale(**own) if own else inner
            steps = alt.Chart().transform_filter(
                "datum.shown == 1" + (f" && ({view.where})" if view.where else "")
            )
            steps = steps.transform_joinaggregate(
                group_first="min(caption)", group_last="max(caption)", groupby=["panel", "group"]
            )
            steps = steps.transform_window(row_of_group="row_number()", groupby=["panel", "group"])
            steps = steps.transform_calculate(heading=headings.heading(self.note_width))
            outer = alt.FacetMapping(column=_panel("top"))
            panels.append(alt.FacetChart(spec=inner, facet=outer, transform=steps.transform))
        return panels


def tooltip(*columns: str) -> list[alt.Tooltip]:
    """The columns in a tooltip. A number format may follow a name, after a colon."""
    parts = [column.partition(":") for column in columns]
    return [
        alt.Tooltip(name, type="quantitative", format=form)
        if form
        else alt.Tooltip(name, type="nominal")
        for name, _, form in parts
    ]


def _panel(field: str) -> Any:
    """One panel per revision. Its heading is the title of what is in it."""
    return alt.RowColumnEncodingFieldDef(
        field=field,
        type="nominal",
        title=None,
        header=None,
        sort=alt.EncodingSortField(field="position", op="min"),
    )


def _message() -> alt.FacetChart:
    """The sentence of each panel that has nothing to show."""
    text = (
        alt.Chart(title=headings.title("panel"))
        .mark_text(align="left", baseline="top", fontSize=13)
        .encode(x=alt.value(0), y=alt.value(4), text="sentence:N")
        .properties(width=430, height=40, view=alt.ViewConfig(stroke=None))
    )
    panels = alt.FacetChart(spec=text, facet=alt.FacetMapping(column=_panel("panel")))
    sentence = (
        "(test(/^Nothing/, datum.note || '') ? datum.note"
        " : 'Nothing to show: this table has no values')"
    )
    return (
        panels.transform_filter("datum.rows == 0")
        .transform_aggregate(note="max(last_note)", position="min(position)", groupby=["panel"])
        .transform_calculate(sentence=f"slice(split({headings.wrapped(sentence)}, '|'), 1)")
    )


def _parameter(switch: Switch) -> alt.VariableParameter:
    bind = {"input": switch.input, "options": list(switch.options), "name": switch.label}
    return alt.VariableParameter(name=switch.name, value=switch.options[0], bind=bind)
