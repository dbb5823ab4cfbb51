"""`model` of params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from icu_adversarial.config.base import Activation, Block, Distinct, OptimizerName, Positive

Architecture = Literal["lstm", "pooled_lstm", "gru_d"]
Channel = Literal["observed", "hours_since_observed"]
NO_ACTIVATION = "relu"  # of model.fc_activation, if there is no fully connected layer
StaticInput = Literal["age", "sex", "icu_type", "weight", "height"]


class Model(Block):
    """A network: what it reads, its layers, and how it is trained."""

    architecture: Architecture
    extra_channels: Annotated[tuple[Channel, ...], Distinct]
    static_inputs: Annotated[tuple[StaticInput, ...], Distinct]
    conv: Annotated[int, Field(ge=0)]
    n_lstm: Positive
    n_summary: Annotated[int, Field(ge=0)]
    readout_activation: Activation
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

    def unused(self) -> dict[str, str]:
        """Find the settings without effect on this network.

        A search may draw such a combination. In params.yaml it is refused.

        Returns:
            One sentence for each, by the name of the setting.
        """
        found = {}
        if self.n_fc == 0 and self.fc_activation != NO_ACTIVATION:
            found["fc_activation"] = (
                f"fc_activation {self.fc_activation} has no effect with n_fc 0: set it to "
                f"{NO_ACTIVATION}"
            )
        if self.optimizer != "adam" and self.weight_decay:
            found["weight_decay"] = (
                f"weight_decay {self.weight_decay:g} has no effect with optimizer "
                f"{self.optimizer}: set it to 0"
            )
        return found

    def changed(self, settings: dict[str, Any]) -> Self:
        """The same network with other settings, for example those that a search has drawn."""
        return self.model_validate(self.model_dump() | settings)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.architecture == "gru_d" and self.extra_channels != (
            "observed",
            "hours_since_observed",
        ):
            raise ValueError(
                "architecture gru_d needs extra_channels [observed, hours_since_observed]"
            )
        if self.architecture == "gru_d" and self.conv:
            raise ValueError(f"conv {self.conv} has no effect with architecture gru_d: set it to 0")
        if self.n_summary and "observed" not in self.extra_channels:
            raise ValueError(
                "n_summary needs observed among extra_channels, because it summarises observed "
                "values"
            )
        return self
