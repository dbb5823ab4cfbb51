"""The scores of lstm_adversarial_attack: on class-balanced draws of its own training stays.

They show how the published numbers came about. They are not held out. The study literature calls
this module.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from icu_adversarial.core.io import read_json
from icu_adversarial.evaluate.measures import METRICS, scores
from icu_adversarial.evaluate.statistics import finite
from icu_adversarial.model.fold_data import Fold
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.scores import sigmoid
from icu_adversarial.model.training import log_odds, seed_of


def scores_on_training_stays(
    models: Sequence[Path], folds: Sequence[Fold], seed: int
) -> dict[str, dict[str, float | None]]:
    """Score the networks on their own training stays. These scores are NOT held out.

    As many stays are drawn as the fold has training stays, half of each outcome. The decision is
    the argmax of the logits as trained, without a threshold, also for challenge_score.

    Args:
        models: The folder of each fold's model.
        folds: The data of each fold.
        seed: Seed of the draws.

    Returns:
        {mean, sd} over the folds for each of METRICS.
    """
    drawn = []
    for k, (folder, data) in enumerate(zip(models, folds, strict=True)):
        rng = np.random.default_rng(seed_of(seed, k))
        y = rng.integers(0, 2, len(data.y_train))
        rows = np.where(
            y == 1, *(rng.choice(np.flatnonzero(data.y_train == label), len(y)) for label in (1, 0))
        )
        about = read_json(folder / "model.json")
        trained = about["threshold"] - about["prior_shift"]  # back to the logits as trained
        z = log_odds(load_model(folder), data.x_train[rows]) + trained
        drawn.append(scores(y, z, sigmoid(z), z > 0, z > 0))
    values = {name: np.concatenate([scored[name] for scored in drawn]) for name in METRICS}
    return {
        name: {"mean": finite(v.mean()), "sd": finite(v.std(ddof=1))} for name, v in values.items()
    }
