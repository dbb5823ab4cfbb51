"""The explorer: a page with the record of each example, before and after its change.

It has values of single patients, so it is written below data/, which Git never sees.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt

from icu_adversarial.analyze.groups import DIRECTIONS
from icu_adversarial.report.examples import LARGEST
from icu_adversarial.report.html import Section, bullets, paragraph
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.look import BLUE, DARK, NO_ROWS, VERMILION, WHO, finished, goal
from icu_adversarial.report.opening import SYNTHETIC
from icu_adversarial.report.page import embedded, page

TITLE = "Explorer of examples: records before and after the change"
CONTROLS = """
<form class="controls" onsubmit="return false">
<p><label>Goal <select id="goal">{goals}</select></label></p>
<p><label>Who <select id="who">{directions}</select></label></p>
<p><label>Patient <select id="patient"></select></label>
<button type="button" id="previous">Previous</button>
<button type="button" id="next">Next</button></p>
</form>
<p id="about" role="status"></p>
<figure><div class="scroll" tabindex="0" role="region" aria-label="Records of the chosen patient">
<div class="chart" id="records"></div></div></figure>
<div class="scroll" tabindex="0" role="region" aria-label="Changed values"><table>
<caption>Changed values of the chosen patient</caption>
<thead><tr><th scope="col">measurement</th><th scope="col">hours from ICU admission</th>
<th scope="col">recorded value</th><th scope="col">the model reads</th>
<th scope="col">after the change</th></tr></thead>
<tbody id="changes"></tbody></table></div>
<script type="application/json" id="examples">{examples}</script>
<script type="application/json" id="spec">{spec}</script>
"""
SCRIPT = """
const read = id => JSON.parse(document.getElementById(id).textContent);
const examples = read('examples'), spec = read('spec');
const part = id => document.getElementById(id);
const digits = value => value === null ? 'not measured' : String(+value.toPrecision(4));
let found = [];
function list() {
  found = examples.rows.filter(row => row.goal == part('goal').value
    && row.who == part('who').value);
  part('patient').replaceChildren(...found.map((row, place) =>
    new Option(`stay ${row.stay}, changed values: `
      + row.series.reduce((number, series) => number + series.edited.length, 0), place)));
  show();
}
function show() {
  const row = found[part('patient').value], step = examples.step;
  part('previous').disabled = !row || part('patient').selectedIndex == 0;
  part('next').disabled = !row || part('patient').selectedIndex == found.length - 1;
  part('changes').replaceChildren();
  if (!row) {
    part('about').textContent = 'No example with this goal and direction.';
    part('records').replaceChildren();
    return;
  }
  part('about').textContent = `Stay ${row.stay}. Sum of changes: ${digits(row.size)} (1 is the `
    + 'winsorised range of a measurement). ' + row.model;
  const values = [];
  for (const [rank, series] of row.series.entries()) {
    const edited = new Map(series.edited);
    series.before.forEach((before, bin) => {
      const hours = [bin * step, (bin + 1) * step], value = edited.get(bin);
      values.push({rank, name: series.name, hour: hours[0] + step / 2, hours: hours.join(' to '),
        before, after: series.after[bin], recorded: series.recorded[bin],
        edited: value === undefined ? null : value});
      if (value === undefined) return;
      const line = part('changes').insertRow();
      const cells = [series.name, hours.join(' to '), digits(series.recorded[bin]), digits(before),
        digits(value)];
      cells.forEach((text, place) => {
        const cell = document.createElement(place ? 'td' : 'th');
        if (!place) cell.scope = 'row';
        cell.textContent = text;
        line.append(cell);
      });
    });
  }
  draw(part('records'), {...spec, data: {values}});
}
part('goal').onchange = part('who').onchange = list;
part('patient').onchange = show;
for (const [id, step] of [['previous', -1], ['next', 1]])
  part(id).onclick = () => { part('patient').selectedIndex += step; show(); };
list();
"""


def explorer(results: Results, examples: Sequence[dict[str, Any]], step: int) -> str:
    """Write the page.

    Args:
        results: The results of the run, for the names of what is shown.
        examples: Of `examples.read_examples`.
        step: The width of a bin in hours.
    """
    objectives = list(results.attacks)
    goals = "".join(
        f'<option value="{n}">{goal(name)}</option>' for n, name in enumerate(objectives)
    )
    who = "".join(
        f'<option value="{n}">{escape(results.worded(WHO[direction]))}</option>'
        for n, direction in enumerate(DIRECTIONS)
    )
    controls = CONTROLS.format(
        goals=goals,
        directions=who,
        examples=embedded({"step": step, "rows": examples}),
        spec=embedded(_chart(results.source)),
    )
    said = [
        paragraph(
            f"At most {LARGEST} flipped stays of each goal and direction are here, spread over all "
            "sizes of the change and sorted by it."
        ),
        bullets(
            [
                "Line: what the model reads. It joins the recorded values, within the limits of "
                "the measurement. Dashed orange line: what it reads after the change.",
                "Blue dots: recorded values, the summary of each hour.",
                "Orange rings: values after the change. The line to a ring is the change.",
            ]
        ),
    ]
    privacy = paragraph(
        "This page shows records of single patients. It must not leave the place where the data "
        "may be kept."
    )
    sections = [Section("example", "One example", [*said, controls])]
    return page(TITLE, SYNTHETIC if results.synthetic else "", [privacy], sections, SCRIPT)


def _chart(source: str) -> dict[str, Any]:
    """The records of one patient, one panel for each changed measurement. It has no rows."""
    base = alt.Chart().encode(
        x=alt.X(
            "hour:Q",
            title="time since ICU admission (h)",
            scale=alt.Scale(nice=False, zero=True),
            axis=alt.Axis(
                values=[*range(0, 132, 6)], labelOverlap="greedy", grid=False, format="d"
            ),
        )
    )
    scale = alt.Scale(zero=False, padding=12)

    def y(column: str) -> alt.Y:
        return alt.Y(
            f"{column}:Q",
            title=None,
            scale=scale,
            axis=alt.Axis(tickCount=5, minExtent=45, maxExtent=45),
        )

    told = [
        "name:N",
        "hours:N",
        *(
            alt.Tooltip(f"{name}:Q", format=".4g")
            for name in ("recorded", "before", "edited", "after")
        ),
    ]
    line = base.mark_line(color=DARK, strokeWidth=1.3).encode(y=y("before"))
    later = base.mark_line(color=VERMILION, strokeWidth=1.3, strokeDash=[5, 3]).encode(y=y("after"))
    recorded = (
        base.transform_filter("isValid(datum.recorded)")
        .mark_point(filled=True, size=34, color=BLUE, opacity=1)
        .encode(y=y("recorded"), tooltip=told)
    )
    edited = base.transform_filter("isValid(datum.edited)")
    change = edited.mark_rule(color=VERMILION, strokeWidth=2).encode(y=y("before"), y2="edited:Q")
    ring = edited.mark_point(color=VERMILION, size=90, strokeWidth=2.2, opacity=1).encode(
        y=y("edited"), tooltip=told
    )
    chart = (
        alt.layer(later, line, recorded, change, ring)
        .properties(width=330, height=170)
        .facet(
            data=NO_ROWS,
            facet=alt.Facet(
                "name:N", title=None, sort=alt.EncodingSortField(field="rank", op="min")
            ),
            columns=3,
        )
        .resolve_scale(y="independent")
    )
    return finished(chart, [], "Recorded and changed values, in clinical units", source)
