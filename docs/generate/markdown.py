"""Markdown that several generated pages need."""

from collections.abc import Iterable, Sequence


def note(source: str) -> str:
    """The comment at the top of a generated page.

    Args:
        source: The files that the page is made from.
    """
    return f"<!-- Written by `make docs` from {source}. Change those, not this page. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. A vertical line inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
