"""`tune_attack` of params.yaml."""

from typing import Annotated

from pydantic import Field

from icu_adversarial.config.base import (
    Block,
    IntRange,
    LearningRate,
    NotEmpty,
    Optimizers,
    Positive,
    Range,
    Seed,
    within,
)

Caps = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], NotEmpty]
Count = Annotated[IntRange, within(1, 10**6)]


class L1Space(Block):
    cap: Caps
    radius: Annotated[Range, within(1e-4, 1)]
    patience: Count
    restarts: Annotated[
        tuple[Annotated[int, Field(ge=0, le=7)], ...], NotEmpty
    ]  # at most the number of l1.STARTS
    supports: Annotated[
        tuple[Annotated[int, Field(ge=0, le=4)], ...], NotEmpty
    ]  # and of l1.SUPPORTS


class L0Space(Block):
    cap: Caps
    share: Annotated[Range, within(0.01, 1)]
    candidates: Count
    patience: Count
    starts: Annotated[tuple[Positive, ...], NotEmpty]


class PriorSpace(Block):
    kappa: Annotated[Range, within(0, 1e6)]
    penalty: Annotated[Range, within(0, 1e6)]
    learning_rate: LearningRate
    optimizer: Optimizers


class SunSpace(Block):
    """Nothing to search: its penalties are part of it."""


class AttackSpaces(Block):
    """One for each method."""

    l1: L1Space
    l0: L0Space
    prior: PriorSpace
    sun: SunSpace


class TuneAttack(Block):
    trials: Positive
    max_stays: Positive
    iterations: Positive
    max_perts: Positive
    seed: Seed
    pruner_startup_trials: Annotated[int, Field(ge=0)]
    space: AttackSpaces
