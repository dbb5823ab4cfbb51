"""`features` of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from icu_adversarial.config.base import Block


class Features(Block):
    interpolation: Literal["linear", "previous", "none"]
    limit_direction: Literal["both", "forward", "backward"]
    lower_percentile: Annotated[float, Field(ge=0, le=100)]
    upper_percentile: Annotated[float, Field(ge=0, le=100)]
    winsorise: Literal["before_gaps", "after_gaps"]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.interpolation == "none" and self.winsorise == "after_gaps":
            raise ValueError("winsorise after_gaps has no effect without interpolation")
        if self.lower_percentile >= self.upper_percentile:
            raise ValueError("lower_percentile must lie below upper_percentile")
        return self
