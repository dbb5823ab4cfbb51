"""`attack` of params.yaml."""

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from icu_adversarial.config.base import Block, Positive, Seed
from icu_adversarial.core.paths import MODELS

Space = Literal["record", "grid"]
Method = Literal["auto", "l1", "l0", "prior", "sun"]


class Attack(Block):
    method: Method
    space: Space
    target: Literal["fold", "ensemble", "file"]
    models: Path
    iterations: Positive
    max_stays: Positive | None
    attack_misclassified: bool
    seed: Seed

    @model_validator(mode="after")
    def _own_models(self) -> Self:
        if (self.target == "file") == (self.models == MODELS):
            raise ValueError(
                f"models {self.models} does not fit target {self.target}: target file needs the "
                f"folder of one model, any other target needs {MODELS}"
            )
        return self
