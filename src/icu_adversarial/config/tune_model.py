"""`tune_model` of params.yaml."""

from typing import Annotated

from pydantic import Field

from icu_adversarial.config.base import (
    Activation,
    Activations,
    Block,
    Distinct,
    LearningRate,
    NotEmpty,
    OptimizerName,
    Optimizers,
    Positive,
    Power,
    Range,
    Seed,
    within,
)


class ModelSpace(Block):
    """The values that the search can choose."""

    log2_n_lstm: Power
    readout_activation: Activations
    dropout: Annotated[Range, within(0, 0.99)]
    n_fc: Annotated[tuple[Annotated[int, Field(ge=0)], ...], NotEmpty, Distinct]
    fc_activation: Activations
    optimizer: Optimizers
    learning_rate: LearningRate
    log2_batch_size: Power


class FirstTrial(Block):
    """The settings of the first trial, or of the network if there is no search."""

    n_lstm: Positive
    readout_activation: Activation
    dropout: Annotated[float, Field(ge=0, lt=1)]
    n_fc: Annotated[int, Field(ge=0)]
    fc_activation: Activation
    optimizer: OptimizerName
    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Positive


class TuneModel(Block):
    trials: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2, le=127)]
    fold_seed: Seed
    seed: Seed
    rounds: Positive
    epochs_per_round: Positive
    pruner_startup_trials: Annotated[int, Field(ge=0)]
    pruner_warmup_rounds: Annotated[int, Field(ge=0)]
    pruner_percentile: Annotated[float, Field(ge=0, le=100)]
    first: FirstTrial
    space: ModelSpace
