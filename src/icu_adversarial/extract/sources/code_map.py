"""The file that says what the codes of a MEDS data set stand for. meds.py reads it.

A CSV file with the columns code, stands_for, factor, offset.
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from icu_adversarial.core.errors import InputError
from icu_adversarial.measurements import DICTIONARY

COLUMNS = ["code", "stands_for", "factor", "offset"]
NEEDED = ("icu_admission", "icu_discharge", "hospital_discharge")
OPTIONAL = ("hospital_admission", "hospital_death", "birth", "death", "female", "male")


class Meaning(NamedTuple):
    """What a code stands for.

    code: the code itself, or its beginning where `is_prefix`.
    stands_for: one of NEEDED, OPTIONAL or the measurements.
    factor, offset: a measurement's value is factor * numeric_value + offset.
    """

    code: str
    is_prefix: bool
    stands_for: str
    factor: float
    offset: float


def read_code_map(path: Path, chosen: Sequence[str]) -> list[Meaning]:
    """Read a code map.

    Lines that begin with # are comments, a * at the end of a code stands for any rest, and empty
    factors and offsets are 1 and 0.

    Args:
        path: A CSV file in UTF-8.
        chosen: The measurements that are read. Codes of others are left out.

    Returns:
        The meanings in the order of the file.

    Raises:
        InputError: A missing file, other columns, an unknown meaning, a factor or offset that is
            no finite number, a factor of 0, a line twice, or a NEEDED meaning without a code.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"extract.code_map: {path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"extract.code_map: {path} cannot be read: {error}") from None
    rows = [
        (number, _fields(path, number, line))
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    if not rows or rows[0][1] != COLUMNS:
        raise InputError(f"extract.code_map: {path}: the first line must be {','.join(COLUMNS)}")
    meanings: dict[tuple[str, str], Meaning] = {}
    for number, row in rows[1:]:
        meaning = _meaning(path, number, row)
        if (row[0], row[1]) in meanings:
            raise InputError(
                f"extract.code_map: {path}, line {number}: {row[0]} stands for {row[1]} twice: "
                "remove one"
            )
        meanings[row[0], row[1]] = meaning
    found = {meaning.stands_for for meaning in meanings.values()}
    if missing := [name for name in NEEDED if name not in found]:
        raise InputError(f"extract.code_map: {path}: no code stands for {', '.join(missing)}")
    known = {*NEEDED, *OPTIONAL, *chosen}
    return [meaning for meaning in meanings.values() if meaning.stands_for in known]


def _fields(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:
        raise InputError(
            f"extract.code_map: {path}, line {number}: not a line of CSV, such as one with a "
            "quotation mark that is not closed"
        ) from None


def _meaning(path: Path, number: int, row: list[str]) -> Meaning:
    if len(row) != len(COLUMNS) or not row[0]:
        raise InputError(
            f"extract.code_map: {path}, line {number}: {len(row)} fields, "
            f"expected {','.join(COLUMNS)}"
        )
    code, stands_for, factor, offset = row
    known = (*NEEDED, *OPTIONAL, *DICTIONARY)
    if stands_for not in known:
        raise InputError(
            f"extract.code_map: {path}, line {number}: stands_for is {stands_for!r}, "
            f"expected one of {', '.join(known)}"
        )
    by, to = _number(factor, 1), _number(offset, 0)
    if not (math.isfinite(by) and math.isfinite(to)):
        raise InputError(
            f"extract.code_map: {path}, line {number}: factor or offset is not a number"
        )
    if by == 0:
        raise InputError(
            f"extract.code_map: {path}, line {number}: a factor of 0 makes all values equal"
        )
    return Meaning(code.removesuffix("*"), code.endswith("*"), stands_for, by, to)


def _number(text: str, default: float) -> float:
    """NaN for a text that is no number."""
    try:
        return float(text or default)
    except ValueError:
        return math.nan
