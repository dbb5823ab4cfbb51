"""The parts of a page: sections, charts, tables and numbers."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import pandas as pd

from icu_adversarial.measurements import DICTIONARY

NONE = "–"
TOGETHER = "\u00a0to\u00a0"  # both limits stay on one line
FEW = "fewer than 5 patients"


class Chart(NamedTuple):
    """A figure of the page.

    name: Its id on the page.
    spec: Vega-Lite.
    said: What a reader who cannot see it must know: what is drawn, and where its numbers are.
    """

    name: str
    spec: dict[str, Any]
    said: str


class Section(NamedTuple):
    """A section of the page.

    name: Its id on the page.
    title: Its heading.
    parts: HTML and charts, in their order.
    """

    name: str
    title: str
    parts: Sequence[str | Chart]


def titled(name: str) -> str:
    """The label of a measurement with its unit, for example "urea nitrogen (mg/dL)"."""
    about = DICTIONARY[name]
    return f"{about.label} ({about.unit})" if about.unit else about.label


def paragraph(*sentences: str) -> str:
    """Sentences as a paragraph. Their signs are escaped."""
    return f"<p>{escape(' '.join(sentences))}</p>"


def heading(text: str) -> str:
    """The heading of a part of a section."""
    return f"<h3>{escape(text)}</h3>"


def bullets(lines: Iterable[str]) -> str:
    """A list of texts."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table. The first column names the rows. A text in a Raw cell is not escaped."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td>{_cell(value)}</td>" for value in others)
        lines.append(f'<tr><th scope="row">{_cell(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


class Raw(str):
    """HTML that a table must not escape."""


def _cell(value: Any) -> str:
    return value if isinstance(value, Raw) else escape(str(value))


def details(summary: str, content: str) -> str:
    """Content that the reader opens."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def number(value: Any, form: str = ".3g") -> str:
    """A number, or a dash where there is none."""
    return NONE if value is None or pd.isna(value) else f"{value:{form}}"


def interval(value: Any, low: Any, high: Any, *, form: str = ".3g") -> str:
    """A number with its 95 % interval. A limit that is not known is a question mark."""
    if value is None or pd.isna(value):
        return NONE
    if pd.isna(low) and pd.isna(high):
        return f"{value:{form}}".replace("-", "−")
    bounds = ("?" if pd.isna(bound) else f"{bound:{form}}" for bound in (low, high))
    limits = TOGETHER.join(bounds)
    return f"{value:{form}} ({limits})".replace("-", "−")
