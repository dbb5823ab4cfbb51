"""`split` of params.yaml."""

from typing import Annotated

from pydantic import Field

from icu_adversarial.config.base import Block, Seed


class Split(Block):
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_groups: tuple[str, ...]
    folds: Annotated[int, Field(ge=2, le=127)]
    seed: Seed
