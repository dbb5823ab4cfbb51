"""`split` of params.yaml."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from icu_adversarial.config.base import Block, Distinct, Seed

TEST_FRACTION = 0.2  # of split.test_fraction, if nothing reads it


class Split(Block):
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_groups: Annotated[tuple[str, ...], Distinct]
    folds: Annotated[int, Field(ge=2, le=127)]
    seed: Seed

    @model_validator(mode="after")
    def _read(self) -> Self:
        if self.test_groups and self.test_fraction != TEST_FRACTION:
            raise ValueError(
                f"test_fraction {self.test_fraction:g} has no effect with test_groups: set it to "
                f"{TEST_FRACTION:g}"
            )
        return self
