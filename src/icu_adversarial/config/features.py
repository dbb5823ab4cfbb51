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
            raise ValueError(
                "winsorise after_gaps has no effect with interpolation none: set it to before_gaps"
            )
        if self.interpolation == "none" and self.limit_direction != "both":
            raise ValueError(
                f"limit_direction {self.limit_direction} has no effect with interpolation none: set"
                " it to both"
            )
        if self.lower_percentile >= self.upper_percentile:
            raise ValueError(
                f"lower_percentile {self.lower_percentile:g} must be below upper_percentile "
                f"{self.upper_percentile:g}"
            )
        return self
