"""`analyze` of params.yaml."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from icu_adversarial.config.base import Block, Positive


class Analyze(Block):
    bootstrap: Positive
    min_l0: Positive
    max_l0: Positive | None
    patients: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_l0 is not None and self.min_l0 > self.max_l0:
            raise ValueError(f"min_l0 {self.min_l0} is above max_l0 {self.max_l0}")
        return self
