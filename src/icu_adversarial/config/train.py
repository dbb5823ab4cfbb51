"""`train` of params.yaml."""

from icu_adversarial.config.base import Block, Positive, Seed


class Train(Block):
    epochs: Positive
    evaluate_every: Positive
    patience: Positive | None
    seed: Seed
