"""`stress` of params.yaml."""

from icu_adversarial.config.base import Block, Positive, Seed


class Stress(Block):
    stays: Positive
    bootstrap: Positive
    seed: Seed
