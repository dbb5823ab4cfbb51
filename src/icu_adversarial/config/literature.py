"""`literature` of params.yaml."""

from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import ValidationError, model_validator

from icu_adversarial.config.base import Block, NotEmpty, describe
from icu_adversarial.config.features import Features
from icu_adversarial.config.model import Model
from icu_adversarial.config.train import NO_PATIENCE, Train


class MeanSd(NamedTuple):
    """Mean and standard deviation of a score."""

    mean: float
    sd: float


class Published(Block):
    """The scores that the authors report, on `data`."""

    data: str
    auroc: MeanSd | None = None
    f1: MeanSd | None = None
    precision: MeanSd | None = None
    recall: MeanSd | None = None


class Row(Block):
    """One network of the comparison."""

    label: str
    model: dict[str, Any]
    scored_on: Literal["held_out", "balanced_training"]
    published: Published
    differs: Annotated[tuple[str, ...], NotEmpty]


class Literature(Block):
    features: Features
    train: Train
    model: Model
    rows: dict[str, Row]

    def model_of(self, row: str) -> Model:
        """`literature.model` with the settings of a row."""
        return self.model.changed(self.rows[row].model)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for row in self.rows:
            try:
                self.model_of(row)
            except ValidationError as error:
                found = describe(error.errors(include_url=False), "rows", row, "model")
                raise ValueError("; ".join(found)) from None
        return self

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> Self:
        models = {row: self.model_of(row) for row in self.rows}
        unused = {row: model.unused() for row, model in models.items()}
        found = [
            f"rows.{row}.model: {reason}"
            for row, reasons in unused.items()
            for name, reason in reasons.items()
            if name in self.rows[row].model
        ]
        found += [
            f"model: {reason}, as in every row"
            for name, reason in self.model.unused().items()
            if all(name in reasons for reasons in unused.values())
        ]
        if self.train.patience is not None and all(m.keep == "last" for m in models.values()):
            found.append(f"train: {NO_PATIENCE.format(self.train.patience)} in every row")
        if found:
            raise ValueError("; ".join(found))
        return self
