"""`learning_curve` of params.yaml."""

from typing import Annotated

from pydantic import Field

from icu_adversarial.config.base import Block, Distinct, NotEmpty, Seed


class LearningCurve(Block):
    shares: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], NotEmpty, Distinct]
    seed: Seed
