"""The table that the command `gate` prints, at most 120 characters wide."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from icu_adversarial.config.params import Params
from icu_adversarial.tools.gate import WORSE, Row, compare
from icu_adversarial.tools.revisions import Revision, read_revision

HEAD = (
    f"{'old':>9}{'new':>9}{'stays':>8}   {'difference (95 % interval)':<34}{'allowed':<11}verdict"
)
NAME = 21  # characters
SETTINGS_SHOWN = 5


def judged(old: str, new: str, params: Params) -> tuple[list[str], bool]:
    """Read two runs and compare them.

    Args:
        old: The name of the run that sets the standard.
        new: The name of the run that is judged.
        params: The margins, and how often subjects are drawn.

    Returns:
        The table, and whether the new run is worse.

    Raises:
        InputError: A run is unknown or incomplete, or the two cannot be paired.
    """
    runs = read_revision(old), read_revision(new)
    rows = compare(*runs, params.gate, params.evaluate.bootstrap, params.evaluate.seed)
    return list(lines(*runs, rows)), any(row.verdict == WORSE for row in rows)


def lines(old: Revision, new: Revision, rows: Sequence[Row]) -> Iterator[str]:
    """Say how the runs compare.

    Args:
        old: The run that sets the standard.
        new: The run that is judged.
        rows: From `gate.compare`.

    Returns:
        The table, notes on what it cannot tell, and the result in one line.
    """
    yield f"old: {old.name}, new: {new.name}"
    yield f"{'':<{NAME}}{HEAD}"
    for group, members in groupby(rows, key=lambda row: row.measure.group):
        yield group
        yield from map(_line, members)
    changed = [
        f"{path} {old.settings.get(path)} → {new.settings.get(path)}"
        for path in sorted(old.settings.keys() | new.settings.keys())
        if old.settings.get(path) != new.settings.get(path)
    ]
    if changed:
        more = len(changed) - SETTINGS_SHOWN
        shown = ", ".join(changed[:SETTINGS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        yield f"Note: the attacks differ too, so their rows compare attacks and models: {shown}."
    if only := sorted(old.attacks.keys() ^ new.attacks.keys()):
        yield f"Note: not compared, because only one of them has it: {', '.join(only)}."
    if any(len(np.unique(row.measure.fold)) == 1 for row in rows if len(row.measure.fold)):
        yield "Note: one model was attacked: the intervals do not contain the chance of training."
    worse = sum(row.verdict == WORSE for row in rows)
    yield f"Result: {new.name} is worse in {worse} of {len(rows)} rows by more than is allowed."


def _line(row: Row) -> str:
    """One measure."""
    relative = row.measure.relative
    values = f"{_number(row.old):>9}{_number(row.new):>9}{len(row.measure.fold):>8,}"
    low, high = row.difference - row.half, row.difference + row.half
    found = f"{_change(row.difference, relative)} ({_change(low, relative)} to "
    found += f"{_change(high, relative)}){' %' if relative else ''}"
    allowed = _change(row.allowed, relative) + (" %" if relative else "")
    return f"  {row.measure.name:<{NAME - 2}}{values}   {found:<34}{allowed:<11}{row.verdict}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"


def _change(value: float, relative: bool) -> str:
    """A signed difference. The logarithm of a ratio becomes a change in %, without its sign."""
    if np.isnan(value):
        return "–"
    return f"{100 * np.expm1(value):+.1f}" if relative else f"{value:+.4f}"
