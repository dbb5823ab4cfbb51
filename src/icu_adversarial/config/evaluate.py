"""`evaluate` of params.yaml."""

from icu_adversarial.config.base import Block, Positive, Seed


class Evaluate(Block):
    bootstrap: Positive
    seed: Seed
