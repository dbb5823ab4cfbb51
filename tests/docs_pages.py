"""README and the pages of docs/, and the code blocks in them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A code block: the page, the language after the fence, and the text."""

    page: Path
    language: str
    text: str


def pages() -> list[Path]:
    """README, CONTRIBUTING, data/README and every page that a person wrote."""
    by_hand = [README, ROOT / "CONTRIBUTING.md", ROOT / "data" / "README.md"]
    return by_hand + sorted((ROOT / "docs").rglob("*.md"))


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page."""
    return [Block(page, *found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def python_block(page: Path) -> str:
    """The only Python block of a page."""
    (found,) = [block.text for block in blocks(page) if block.language == "python"]
    return found


def commands(block: Block) -> list[str]:
    """The commands of a block, without comments."""
    lines = [re.split(r"\s+#\s|^#\s", line)[0].strip() for line in block.text.splitlines()]
    return [line for line in lines if line]
