"""The entries of the dictionary of measurements."""

from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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


class Allowable(Entry):
    """The allowable error of a method: the larger of two errors, at least one of which is given.

    absolute: The error in the stored unit.
    percent: The error in percent of the value.
    source: Who states it.
    """

    absolute: float = Field(default=0.0, ge=0)
    percent: float = Field(default=0.0, ge=0)
    source: str

    @model_validator(mode="after")
    def _some_error(self) -> Self:
        if not self.absolute and not self.percent:
            raise ValueError("allowable needs absolute or percent")
        return self


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
    allowable: The allowable error of the method, if a source states one.
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
    allowable: Allowable | None = None
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

    def allowable_error(self, values: np.ndarray) -> np.ndarray:
        """How far each value may be from the true one although the method works well.

        Args:
            values: Values in the stored unit.

        Returns:
            The allowable errors in the stored unit, of the same shape: 0 without a source.
        """
        if self.allowable is None:
            return np.zeros_like(values)
        error = np.maximum(self.allowable.absolute, np.abs(values) * self.allowable.percent / 100)
        return error.astype(values.dtype)

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
