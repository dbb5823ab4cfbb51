"""`train` of params.yaml."""

from icu_adversarial.config.base import Block, Positive, Seed

# What is wrong with a patience if no network keeps its best weights.
NO_PATIENCE = "patience {} has no effect with keep last: set it to null, or keep to best"


class Train(Block):
    epochs: Positive
    evaluate_every: Positive
    patience: Positive | None
    seed: Seed
