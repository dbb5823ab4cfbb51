"""The headings of the panels and of their groups, as expressions of Vega."""

import json
from typing import Any

import altair as alt

from icu_adversarial.core.outcomes import LONG_STAY, PHRASES, Outcome, worded

EXPRESSION = "="  # a title that begins with it is an expression; Altair's schema knows only texts
NOTE_WIDTH = 62  # characters of a line of a note


def wrapped(text: str, width: int = NOTE_WIDTH) -> str:
    """An expression of the lines of a text, each after a bar."""
    return f"replace({text}, /(.{{1,{width}}})(?: |$)/g, '|$1')"


def top() -> str:
    """The heading of a panel, then ¦, and on further lines what holds for all of its groups.

    That is the warning about the data, and a note that all of its rows have.
    """
    parts = [
        f"(datum.{name} ? {wrapped(f'datum.{name}')} : '')" for name in ("panel_warned", "common")
    ]
    return f"datum.panel + '¦' + {' + '.join(parts)}"


def heading(width: int) -> str:
    """The name of a group and, on further lines, the notes of its rows."""
    notes = (
        "(datum.group_first === datum.group_last ? datum.group_first"
        " : datum.group_first + ' ' + datum.group_last)"
    )
    shown = "datum.group_first && !datum.common"
    return f"datum.group + ({shown} ? {wrapped(notes, width)} : '')"


def title(field: str) -> alt.TitleParams:
    """The heading of a panel. `parent` holds the value that the panels are divided by."""
    parts = f"split(parent.{field}, '¦')"
    return alt.TitleParams(
        f"{EXPRESSION}split({parts}[0], '|')",
        subtitle=f"{EXPRESSION}{parts}[1] ? slice(split({parts}[1], '|'), 1) : null",
        fontSize=13,
        subtitleColor="#222222",
        subtitlePadding=3,
        offset=8,
    )


# Whether the outcome of a row, and of the first row of a table, is a long stay.
LONG_ROW = f"test(/^{PHRASES[LONG_STAY].partition('{')[0]}/, datum.outcome || '')"
LONG_TABLE = LONG_ROW.replace("datum", "data('table')[0]")


def told(text: str | list[str]) -> str | list[str]:
    """A title that is written about deaths, as an expression that follows the outcome."""
    lines = text if isinstance(text, str) else [_expression(line) for line in text]
    whole = _expression(lines) if isinstance(lines, str) else f"[{', '.join(lines)}]"
    return EXPRESSION + whole if "long_stays" in whole else text


def _expression(text: str) -> str:
    """A text that follows the outcome, as an expression."""
    plain, other = (
        json.dumps(words, ensure_ascii=False)
        for words in (text, worded(text, Outcome(LONG_STAY, 0).phrase))
    )
    return plain if plain == other else f"(long_stays ? {other} : {plain})"


def told_by_name(texts: dict[str, str]) -> str:
    """An expression of an object of texts, by name, that follows the outcome."""
    found = (f"{name}: {_expression(text)}" for name, text in texts.items())
    return f"{{{', '.join(found)}}}"


def with_expressions(part: Any, of_axis: bool = False) -> Any:
    """Replace the texts that begin with EXPRESSION.

    Vega-Lite takes an expression as a title of a figure. As a title of an axis it takes none, but
    it hands a signal on to Vega.

    Args:
        part: A part of a specification.
        of_axis: Whether it is inside an encoding.
    """
    if isinstance(part, dict):
        return {
            name: with_expressions(value, of_axis or name == "encoding")
            for name, value in part.items()
        }
    if isinstance(part, list):
        return [with_expressions(value, of_axis) for value in part]
    if isinstance(part, str) and part.startswith(EXPRESSION):
        return {"signal" if of_axis else "expr": part.removeprefix(EXPRESSION)}
    return part
