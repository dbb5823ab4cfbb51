"""A self-contained page: no request leaves it, and it needs no network."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from icu_adversarial.report.html import Chart, Section
from icu_adversarial.report.vega import scripts

# The browser refuses every request.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data:"
)
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 "Liberation Sans", Arial, Helvetica, sans-serif; color: #1a1a1a;
  background: #fff; max-width: 1240px; margin: 0 auto; padding: 24px 40px 80px; }
h1 { font-size: 30px; line-height: 1.2; margin: 16px 0; }
h2 { font-size: 23px; margin: 56px 0 12px; padding-top: 12px; border-top: 2px solid #d0d0d0; }
h3 { font-size: 18px; margin: 32px 0 8px; }
p, li { max-width: 80ch; }
nav ol { columns: 2; padding-left: 24px; max-width: 80ch; }
a { color: #0b5394; }
.label, .warning { border-left: 6px solid #D55E00; background: #fff4ec; padding: 8px 16px;
  font-weight: bold; max-width: 80ch; }
figure { margin: 20px 0; }
.scroll { overflow-x: auto; max-width: 100%; }
.chart .vega-bindings { display: flex; flex-direction: column; gap: 6px; margin: 0 0 14px;
  font-size: 15px; }
.chart.vega-embed { display: flex; flex-direction: column-reverse; align-items: flex-start;
  padding-right: 0; }
.vega-bind { display: flex; gap: 10px; align-items: baseline; }
.vega-bind-name { min-width: 180px; display: inline-block; font-weight: bold; }
.vega-bind-radio label { margin-right: 14px; }
.vega-bind input[type=range] { width: 320px; vertical-align: middle; }
select, button { font: inherit; padding: 2px 6px; }
figcaption { color: #444; font-size: 14px; max-width: 90ch; }
table { border-collapse: collapse; margin: 12px 0; font-size: 14.5px; }
caption { text-align: left; font-weight: bold; padding: 4px 0; }
th, td { border-bottom: 1px solid #ddd; padding: 3px 12px 3px 0; text-align: left;
  vertical-align: top; font-variant-numeric: tabular-nums; }
thead th { border-bottom: 2px solid #888; }
tbody th { font-weight: normal; }
details { margin: 12px 0; }
summary { cursor: pointer; font-weight: bold; color: #0b5394; }
pre { font-size: 13px; background: #f6f6f6; padding: 12px; overflow-x: auto; }
:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
.skip { position: absolute; left: -999px; }
.skip:focus { position: static; }
@media (prefers-reduced-motion: reduce) {
  * { animation: none !important; transition: none !important; scroll-behavior: auto !important; }
}
@media print { details > * { display: block; } nav, .skip { display: none; } }
"""
# window.views holds the view of each figure that is drawn.
DRAW = """
window.views = {};
window.draw = (figure, spec) => vegaEmbed(figure, spec, {actions: false, renderer: 'svg'})
  .then(result => {
    for (const bind of figure.querySelectorAll('.vega-bind'))
      if (bind.querySelector('input[type=radio]')) {
        bind.setAttribute('role', 'radiogroup');
        bind.setAttribute('aria-label', bind.querySelector('.vega-bind-name').textContent);
      }
    window.views[figure.id] = result.view;
  })
  .catch(error => { figure.textContent = 'This figure cannot be drawn: ' + error; throw error; });
for (const data of document.querySelectorAll('script[data-figure]'))
  draw(document.getElementById(data.dataset.figure), JSON.parse(data.textContent));
"""


def page(
    title: str, label: str, opening: Sequence[str], sections: Sequence[Section], script: str = ""
) -> str:
    """Write a page.

    Args:
        title: The heading of the page.
        label: A sentence at the top, which says that data are invented. It may be empty.
        opening: HTML between the heading and the list of sections.
        sections: The sections in their order.
        script: JavaScript that runs after the figures are started.
    """
    names = "".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sections)
    contents = f'<nav aria-label="Sections"><ol>{names}</ol></nav>' if len(sections) > 1 else ""
    marked = f'<p class="label" role="note">{escape(label)}</p>' if label else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>{marked}<h1>{escape(title)}</h1></header>
{"".join(opening)}
{contents}
<main id="content">
{"".join(_section(section) for section in sections)}
</main>
<script>{scripts()}</script>
<script>{DRAW}{script}</script>
</body>
</html>
"""


def embedded(content: Any) -> str:
    """JSON for a script element: no text inside can end the element.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("</", "<\\/")


def _section(section: Section) -> str:
    parts = [_figure(part) if isinstance(part, Chart) else part for part in section.parts]
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
        f'<h2 id="{section.name}-title">{escape(section.title)}</h2>{"".join(parts)}</section>\n'
    )


def _figure(chart: Chart) -> str:
    """The place of a figure and its specification. Vega writes `description` as its label."""
    spec = chart.spec | {"description": chart.said}
    return (
        f'<figure><div class="scroll" tabindex="0" role="region" aria-label="{escape(chart.said)}">'
        f'<div class="chart" id="{chart.name}"></div></div>'
        f"<figcaption>{escape(chart.said)}</figcaption></figure>"
        f'<script type="application/json" data-figure="{chart.name}">{embedded(spec)}</script>\n'
    )
