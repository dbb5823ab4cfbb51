"""`tune_attack` of params.yaml."""

from typing import Annotated

from pydantic import Field

from icu_adversarial.config.base import (
    Block,
    Distinct,
    IntRange,
    LearningRate,
    NotEmpty,
    Optimizers,
    Positive,
    Range,
    Seed,
    within,
)

Caps = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], NotEmpty, Distinct]
MAX_PERTS = 10  # of tune_attack.max_perts, if no objective reads it
Count = Annotated[IntRange, within(1, 10**6)]


class L1Space(Block):
    cap: Caps
    radius: Annotated[Range, within(1e-4, 1)]
    patience: Count
    # At most the number of starts that algorithms/l1.py lists in STARTS and SUPPORTS.
    restarts: Annotated[tuple[Annotated[int, Field(ge=0, le=7)], ...], NotEmpty, Distinct]
    supports: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], NotEmpty, Distinct]


class L0Space(Block):
    cap: Caps
    share: Annotated[Range, within(0.01, 1)]
    candidates: Count
    patience: Count
    starts: Annotated[tuple[Positive, ...], NotEmpty, Distinct]


class PriorSpace(Block):
    kappa: Annotated[Range, within(0, 1e6)]
    penalty: Annotated[Range, within(0, 1e6)]
    learning_rate: LearningRate
    optimizer: Optimizers


class SunSpace(Block):
    """Nothing to search: the penalties of this attack are fixed."""


class AttackSpaces(Block):
    """The values that the search can choose, for each method."""

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
