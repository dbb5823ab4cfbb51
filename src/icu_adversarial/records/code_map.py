"""The file that says what the codes of a MEDS data set stand for: a CSV with the columns code, stands_for, factor, offset."""

import csv
from pathlib import Path
from typing import NamedTuple

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import NAMES

COLUMNS = ["code", "stands_for", "factor", "offset"]
NEEDED = ("icu_admission", "icu_discharge", "hospital_discharge")
OPTIONAL = ("hospital_admission", "hospital_death", "birth", "death", "female", "male")


class Meaning(NamedTuple):
    """code: the code itself, or its beginning where `is_prefix`; stands_for: one of NEEDED, OPTIONAL or the measurements.
    A measurement's value is factor * numeric_value + offset."""

    code: str
    is_prefix: bool
    stands_for: str
    factor: float
    offset: float


def read_code_map(path: Path) -> list[Meaning]:
    """Lines that begin with # are comments, a * at the end of a code stands for any rest, empty factors and offsets are 1 and 0.

    Raises InputError for a missing file, other columns, an unknown meaning, a factor or offset that is no number, or a NEEDED meaning without a code.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"extract.code_map: {path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"extract.code_map: {path} cannot be read: {error}") from None
    numbered = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    rows = list(csv.reader(line for _, line in numbered))
    if not rows or rows[0] != COLUMNS:
        raise InputError(f"extract.code_map: {path}: the first line must be {','.join(COLUMNS)}")
    meanings = [
        _meaning(path, number, row) for (number, _), row in zip(numbered[1:], rows[1:], strict=True)
    ]
    found = {meaning.stands_for for meaning in meanings}
    if missing := [name for name in NEEDED if name not in found]:
        raise InputError(f"extract.code_map: {path}: no code stands for {', '.join(missing)}")
    return meanings


def _meaning(path: Path, number: int, row: list[str]) -> Meaning:
    if len(row) != len(COLUMNS) or not row[0]:
        raise InputError(
            f"extract.code_map: {path}, line {number}: {len(row)} fields, expected {','.join(COLUMNS)}"
        )
    code, stands_for, factor, offset = row
    known = (*NEEDED, *OPTIONAL, *NAMES)
    if stands_for not in known:
        raise InputError(
            f"extract.code_map: {path}, line {number}: stands_for is {stands_for!r}, expected one of {', '.join(known)}"
        )
    try:
        return Meaning(
            code.removesuffix("*"),
            code.endswith("*"),
            stands_for,
            float(factor or 1),
            float(offset or 0),
        )
    except ValueError:
        raise InputError(
            f"extract.code_map: {path}, line {number}: factor or offset is not a number"
        ) from None
