"""What the blocks of params.yaml share: frozen models, ranges and types."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Objective = Literal[
    "robust_l1",
    "robust_l0",
    "sparsity",
    "max_num_nonzero_perts",
    "sparse_small",
    "sparse_small_max",
]
Activation = Literal["relu", "tanh"]
OptimizerName = Literal["adam", "rmsprop", "sgd"]


class Block(BaseModel):
    """A part of params.yaml. Unknown keys are errors, and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Range(Block):
    """The values that a search can choose: low to high, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range must start above 0, not at {self.low:g}")
        return self


class IntRange(Range):
    """A range of whole numbers."""

    low: int
    high: int


def within(lowest: float, highest: float) -> AfterValidator:
    """Check that a Range is inside lowest and highest, both included."""

    def check(found: Range) -> Range:
        if not (lowest <= found.low and found.high <= highest):
            raise ValueError(
                f"the range must be inside {lowest:g} to {highest:g}: found {found.low:g} to "
                f"{found.high:g}"
            )
        return found

    return AfterValidator(check)


def _distinct(found: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(found)) < len(found):
        raise ValueError("names one value twice: name each once")
    return found


NotEmpty = Field(min_length=1)
Distinct = AfterValidator(_distinct)  # of a list: no value twice
Activations = Annotated[tuple[Activation, ...], NotEmpty, Distinct]
Optimizers = Annotated[tuple[OptimizerName, ...], NotEmpty, Distinct]
Power = Annotated[IntRange, within(0, 16)]  # an exponent of 2
LearningRate = Annotated[Range, within(1e-9, 100)]


def describe(errors: Iterable[Any], *block: str) -> list[str]:
    """Say which keys are wrong, why, and what was found. A whole block is not repeated.

    Args:
        errors: Entries of `ValidationError.errors()`.
        block: The keys that lead to the checked block.

    Returns:
        A line for each error. All keys that a block lacks are in one line.
    """
    lines, missing = [], defaultdict[str, list[str]](list)
    for error in errors:
        keys = [*block, *map(str, error["loc"])]
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] == "missing":
            missing[".".join(keys[:-1])].append(keys[-1])
            continue
        if error["type"] == "too_short":
            message = "needs at least one value"
        elif not isinstance(error["input"], dict):
            message += f", found {error['input']!r}"
        lines.append(": ".join(filter(None, (".".join(keys), message))))
    return lines + [
        ": ".join(filter(None, (place, f"missing keys: {', '.join(keys)}")))
        for place, keys in missing.items()
    ]
