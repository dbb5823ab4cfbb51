"""`literature` of params.yaml."""

from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from icu_adversarial.config.base import Block, describe_error
from icu_adversarial.config.features import Features
from icu_adversarial.config.model import Model
from icu_adversarial.config.train import Train

MeanSd = tuple[float, float]


class Published(Block):
    """Mean and standard deviation of the scores as their authors report them, on `data`."""

    data: str
    auroc: MeanSd | None = None
    f1: MeanSd | None = None
    precision: MeanSd | None = None
    recall: MeanSd | None = None


class Row(Block):
    """One network of the comparison. model: what it has otherwise than `literature.model`. differs: what is done otherwise than its authors did."""

    label: str
    model: dict[str, Any]
    scored_on: Literal["held_out", "balanced_training"]
    published: Published
    differs: str


class Literature(Block):
    features: Features
    train: Train
    model: Model
    rows: dict[str, Row]

    def model_of(self, row: str) -> Model:
        """`model` with what the row changes."""
        return self.model.changed(self.rows[row].model)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for row in self.rows:
            try:
                self.model_of(row)
            except ValidationError as error:
                raise ValueError(
                    "; ".join(
                        f"rows.{row}.{describe_error(e, 'model')}"
                        for e in error.errors(include_url=False)
                    )
                ) from None
        return self
