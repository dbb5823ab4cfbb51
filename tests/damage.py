"""Ways in which a file of an earlier run can be damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path


def flipped(content: bytes, place: float, bit: int = 3) -> bytes:
    """`content` with one bit changed. place: where, from 0 to below 1."""
    damaged = bytearray(content)
    damaged[int(place * len(content))] ^= 1 << bit
    return bytes(damaged)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "longer by a byte": lambda content: content + b"\0",
    "NULs": lambda content: bytes(len(content)),
    "a bit at the start": lambda content: flipped(content, 0.01),
    "a bit in the middle": lambda content: flipped(content, 0.5),
    "a bit at the end": lambda content: flipped(content, 0.999),
    "the text of another program": lambda _: b"<html>not found</html>\n",
}
KINDS = (*DAMAGE, "a folder")


def damage(file: Path, kind: str) -> None:
    """Damage `file` in the way `kind`, one of KINDS."""
    if kind == "a folder":
        file.unlink()
        (file / "inside").mkdir(parents=True)
    else:
        file.write_bytes(DAMAGE[kind](file.read_bytes()))


def file_in_the_place_of(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")
