"""`synthesize` of params.yaml."""

from icu_adversarial.config.base import Block, Positive, Seed


class Synthesize(Block):
    stays: Positive
    seed: Seed
