"""The dictionary of measurements: dictionary.yaml, which describes its own fields.

No other module has a table of measurements. A new measurement is a new entry in the file, and a
name in a set. Measurements are in the order of their set: it is the order of the grid's columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

FILE = Path(__file__).with_name("dictionary.yaml")
ABSENT = "not in these data"
SOURCES = ("mimic", "eicu", "challenge2012")  # the keys of an entry with rows of a source


class Entry(BaseModel):
    """A part of the dictionary. Unknown keys are errors, and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Limits(Entry):
    """The values that count: v > above, and v < below or v <= at_most."""

    above: float
    at_most: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_upper_limit(self) -> Self:
        if (self.at_most is None) == (self.below is None):
            raise ValueError("limits need either at_most or below")
        if not self.above < self.highest:
            raise ValueError(f"above {self.above:g} is not below the upper limit {self.highest:g}")
        return self

    @property
    def highest(self) -> float:
        """The upper limit."""
        return float(self.below if self.at_most is None else self.at_most)  # type: ignore[arg-type]

    @property
    def highest_counts(self) -> bool:
        """Whether the upper limit itself is a valid value."""
        return self.at_most is not None

    def __str__(self) -> str:
        return f"{self.above:g} < v {'≤' if self.highest_counts else '<'} {self.highest:g}"


class Rows(Entry):
    """The rows of one raw table that have a measurement.

    table: The raw table, in lower case; empty for records without tables.
    codes: Item ids or names with their labels. A name is its own label.
    limits: The charted values that count.
    read_as: The units in which a value is read as it is.
    unit: The unit of these rows, if it is not one of read_as. °F is converted to °C.
    factor: The value is stored as v * factor.
    means_one: Whether a row with a value is stored as 1.
    only: When the rows are read: if extract.potassium is `both`, or from `mimiciv` alone.
    stand_in: Whether the rows are read only if no other chosen measurement reads their codes.
    """

    table: str = ""
    codes: dict[str, str]
    limits: Limits
    read_as: tuple[str, ...]
    unit: str = ""
    factor: float = Field(default=1.0, gt=0)
    means_one: bool = False
    only: Literal["both", "mimiciv"] | None = None
    stand_in: bool = False

    @field_validator("codes", mode="before")
    @classmethod
    def _as_text(cls, found: Any) -> dict[str, str]:
        """Names are their own labels. Item ids become text."""
        named = found.items() if isinstance(found, dict) else ((name, name) for name in found)
        return {str(code): label for code, label in named}

    def within(self, limits: Limits, former: Limits) -> "Rows":
        """A copy with other limits of the stored value.

        Args:
            limits: The limits of the stored value.
            former: Those that they replace. Rows with limits of their own keep them too, because
                they tell two units apart. No value of such rows counts if both exclude it.
        """
        if self.limits == former:
            return self.model_copy(update={"limits": limits})
        low, high = (
            v * 1.8 + 32 if self.fahrenheit else v / self.factor
            for v in (limits.above, limits.highest)
        )
        change: dict[str, float | None] = {"above": max(low, self.limits.above)}
        if high < self.limits.highest:
            counts = limits.highest_counts
            change |= {"at_most": high if counts else None, "below": None if counts else high}
        return self.model_copy(update={"limits": self.limits.model_copy(update=change)})

    @property
    def fahrenheit(self) -> bool:
        """Whether the value is stored as (v - 32) / 1.8."""
        return self.unit == "°F"


class Measurement(Entry):
    """One measurement.

    name, label, unit: Its name in tables and in the report, and its unit; empty for none.
    kind: What its values are.
    hour: How the values of a bin become one. A static measurement has none.
    static: Whether it has one value per stay instead of a column of the grid.
    limits: The values that count, as stored. The rows of a source may have others.
    limits_source: Where the limits are from.
    read_as: As in Rows.
    mimic, eicu, challenge2012: Where each source has it.
    sum_of: What it is the sum of where it is not charted itself, in MIMIC and MEDS.
    notes: What a reader of a map must know about it, by extract.source.
    """

    name: str
    label: str
    unit: str
    kind: Literal["continuous", "integer", "binary"]
    hour: Literal["mean", "sum", "last", "any"] = "mean"
    static: bool = False
    limits: Limits
    limits_source: str
    read_as: tuple[str, ...]
    mimic: tuple[Rows, ...] = ()
    eicu: tuple[Rows, ...] = ()
    challenge2012: tuple[Rows, ...] = ()
    sum_of: tuple[str, ...] = ()
    notes: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _rows_have_limits(cls, content: Any) -> Any:
        """Rows take the limits and units of the measurement unless they have their own."""
        own = {key: content[key] for key in ("limits", "read_as") if key in content}
        rows = {key: [own | row for row in content[key]] for key in SOURCES if key in content}
        return content | rows

    def within(self, limits: Limits) -> "Measurement":
        """A copy with other limits, for all of its rows."""
        change = {
            key: tuple(row.within(limits, self.limits) for row in getattr(self, key))
            for key in SOURCES
        }
        return self.model_copy(update={"limits": limits, **change})

    def keep(self, wanted: Any) -> "Measurement":
        """A copy with the rows for which `wanted(key, row)` is true."""
        change = {
            key: tuple(row for row in getattr(self, key) if wanted(key, row)) for key in SOURCES
        }
        return self.model_copy(update=change)


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
