"""`stress` of params.yaml."""

from icu_adversarial.config.base import Block, Positive, Seed


class Stress(Block):
    stays: Positive
    searched_stays: Positive
    values: Positive
    candidates: Positive
    bootstrap: Positive
    seed: Seed
