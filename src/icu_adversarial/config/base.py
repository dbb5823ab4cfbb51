"""What the blocks of params.yaml have in common: frozen models, ranges, shared types."""

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
    """A part of params.yaml: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Range(Block):
    """Where a search looks: low <= value <= high, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} lies above high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range starts above 0, not at {self.low:g}")
        return self


class IntRange(Range):
    """A range of whole numbers."""

    low: int
    high: int


def within(lowest: float, highest: float) -> AfterValidator:
    """Of a Range: lowest <= low and high <= highest."""

    def check(found: Range) -> Range:
        if not (lowest <= found.low and found.high <= highest):
            raise ValueError(
                f"the range must lie within {lowest:g} and {highest:g}: found {found.low:g} to {found.high:g}"
            )
        return found

    return AfterValidator(check)


NotEmpty = Field(min_length=1)
Activations = Annotated[tuple[Activation, ...], NotEmpty]
Optimizers = Annotated[tuple[OptimizerName, ...], NotEmpty]
Power = Annotated[IntRange, within(0, 16)]  # of two
LearningRate = Annotated[Range, within(1e-9, 100)]


def describe_error(error: Any, *block: str) -> str:
    """Which key, what is wrong, and what was found; a whole block is not repeated."""
    found = "" if isinstance(error["input"], dict) else f", found {error['input']!r}"
    return f"{'.'.join(map(str, (*block, *error['loc']))) or 'the file'}: {error['msg']}{found}"
