"""The dictionary of measurements: dictionary.yaml, which describes its own fields.

No other module has a table of measurements. A new measurement is a new entry in the file, and a
name in a set. Measurements are in the order of their set: it is the order of the grid's columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from icu_adversarial.measurements.entries import SOURCES, Allowable, Limits, Measurement, Rows

__all__ = [
    "ABSENT",
    "DICTIONARY",
    "FILE",
    "SETS",
    "SOURCES",
    "Allowable",
    "Limits",
    "Measurement",
    "Rows",
    "choose",
    "columns_of",
    "names_of",
    "note",
]
FILE = Path(__file__).with_name("dictionary.yaml")
ABSENT = "not in these data"

_CONTENT = yaml.load(FILE.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
SETS = {name: tuple(names) for name, names in _CONTENT["sets"].items()}
DICTIONARY = {
    name: Measurement(name=name, **entry) for name, entry in _CONTENT["measurements"].items()
}


def names_of(choice: str | Sequence[str]) -> tuple[str, ...]:
    """The names of a set, or of a list.

    Args:
        choice: `measurements` in params.yaml: the name of a set, or names of measurements.

    Raises:
        ValueError: The set or a name is unknown, or a name occurs twice.
    """
    if isinstance(choice, str):
        if choice not in SETS:
            raise ValueError(
                f"{choice!r} is no set of measurements: use {' or '.join(SETS)}, or a list of names"
            )
        return SETS[choice]
    if unknown := [name for name in choice if name not in DICTIONARY]:
        raise ValueError(
            f"unknown measurements: {', '.join(unknown)}: known are {', '.join(DICTIONARY)}"
        )
    if len(set(choice)) < len(choice):
        raise ValueError("a measurement is named twice: name each once")
    return tuple(choice)


def columns_of(names: Sequence[str]) -> tuple[str, ...]:
    """The names that are columns of the grid: all but the static ones."""
    return tuple(name for name in names if not DICTIONARY[name].static)


def choose(
    names: Sequence[str],
    source: str = "",
    potassium: str = "both",
    limits: Mapping[str, Limits] | None = None,
) -> tuple[Measurement, ...]:
    """The measurements that are read, with what is read of each.

    Args:
        names: Their names.
        source: extract.source.
        potassium: extract.potassium. `blood_gas` leaves out the potassium of chemistry.
        limits: extract.limits: other limits, by name.

    Returns:
        The measurements in the order of `names`.
    """
    conditions = {None, potassium, source}
    found = [DICTIONARY[name].keep(lambda _, row: row.only in conditions) for name in names]
    firm = {
        (key, code)
        for m in found
        for key in SOURCES
        for row in getattr(m, key)
        if not row.stand_in
        for code in row.codes
    }
    found = [
        m.keep(lambda key, row: not (row.stand_in and {(key, c) for c in row.codes} & firm))
        for m in found
    ]
    return tuple(m.within(limits[m.name]) if limits and m.name in limits else m for m in found)


def note(source: str, measurement: str, names: Sequence[str] = ()) -> str:
    """How a measurement differs in one source.

    Args:
        source: As extract.source.
        measurement: A name.
        names: All chosen measurements, since one may take the codes of another.

    Returns:
        A short phrase without a full stop, ABSENT for a measurement that the source does not
        have, or "" if nothing differs.
    """
    (m,) = (m for m in choose(names or [measurement], source) if m.name == measurement)
    if source == "challenge2012" and not m.challenge2012:
        return ABSENT
    return m.notes.get(source, "")
