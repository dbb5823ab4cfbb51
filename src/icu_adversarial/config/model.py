"""`model` of params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from icu_adversarial.config.base import Activation, Block, OptimizerName, Positive

Architecture = Literal["lstm", "pooled_lstm", "gru_d"]
Channel = Literal["observed", "hours_since_observed"]
StaticInput = Literal["age", "sex", "icu_type"]


class Model(Block):
    """A network: what it reads, how it is built, and how it is trained."""

    architecture: Architecture
    extra_channels: tuple[Channel, ...]
    static_inputs: tuple[StaticInput, ...]
    conv: Annotated[int, Field(ge=0)]
    n_lstm: Positive
    n_summary: Annotated[int, Field(ge=0)]
    lstm_activation: Activation
    dropout: Annotated[float, Field(ge=0, lt=1)]
    measurement_dropout: Annotated[float, Field(ge=0, lt=1)]
    n_fc: Annotated[int, Field(ge=0)]
    fc_activation: Activation
    optimizer: OptimizerName
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Positive
    sampling: Literal["natural", "balanced"]
    schedule: Literal["constant", "one_cycle"]
    max_gradient: Annotated[float, Field(gt=0)] | None
    keep: Literal["best", "last"]

    def changed(self, settings: dict[str, Any]) -> Self:
        """The same network with other settings, for example those that a search has drawn."""
        return self.model_validate(self.model_dump() | settings)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("extra_channels", "static_inputs"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} names one twice")
        if self.architecture == "gru_d" and self.extra_channels != (
            "observed",
            "hours_since_observed",
        ):
            raise ValueError(
                "architecture gru_d needs extra_channels [observed, hours_since_observed]"
            )
        if self.architecture == "gru_d" and self.conv:
            raise ValueError(
                f"architecture gru_d has no convolution: conv must be 0, not {self.conv}"
            )
        if self.n_summary and "observed" not in self.extra_channels:
            raise ValueError(
                "n_summary needs extra_channels: observed: the summaries are of observed values"
            )
        return self
