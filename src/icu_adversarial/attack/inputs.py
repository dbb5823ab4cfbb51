"""What the stages tune_attack, attack and probe read: models, stays and hyperparameters."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.tasks import Attack, Task, Victim, choose_stays, make_tasks
from icu_adversarial.attack.verify import decide
from icu_adversarial.attack.victims import FILES, model_files, read_file, read_victims
from icu_adversarial.config.attack import Attack as Settings
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json
from icu_adversarial.core.schemas import COHORT, FILE, PREDICTIONS, read_table


def read_attacked_models(settings: Settings, names: Sequence[str]) -> dict[int, Victim]:
    """Read the models that are attacked.

    Args:
        settings: `attack` of params.yaml.
        names: The measurements of the columns of the grid.

    Returns:
        The models by fold.
    """
    if settings.target == "file":
        return read_file(settings.models, names, settings.space)
    return read_victims(names, settings.space)


def attacked_files(settings: Settings) -> list[Path]:
    """All files of the models that `read_attacked_models` reads, with the same arguments."""
    return (
        [settings.models / name for name in FILES] if settings.target == "file" else model_files()
    )


def read_tasks(victims: dict[int, Victim]) -> Callable[..., Iterator[Task]]:
    """Bind `tasks.make_tasks` to the cohort, its grid and the models.

    Args:
        victims: The models by fold.

    Returns:
        A function of the chosen stays and, optionally, the largest number of stays in a task.
    """
    return partial(
        make_tasks,
        cohort=read_table(paths.COHORT, COHORT),
        grid=read_array(paths.GRID),
        victims=victims,
    )


def read_chosen(settings: Settings, tasks: Callable[..., Iterator[Task]]) -> pd.DataFrame:
    """Choose the stays that are attacked.

    Target fold: training stays, each by the model of its fold. Target ensemble: test stays, by all
    models together. Target file: test stays that the model in the file classifies correctly.

    Args:
        settings: `attack` of params.yaml.
        tasks: From `read_tasks`.

    Returns:
        The stays, as from `tasks.choose_stays`.
    """
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    if settings.target == "file":
        test = predictions[predictions["split"] == "test"].assign(fold=FILE, y=0)
        decided = [np.empty(0, bool), *map(decide, tasks(test))]
        predictions = test.assign(predicted=np.concatenate(decided))
    limits = settings.model_dump(include={"max_stays", "attack_misclassified", "seed"})
    return choose_stays(predictions, **limits, split="oof" if settings.target == "fold" else "test")


def read_attack(objective: str, method: str, iterations: int) -> Attack:
    """Bind an attack to the hyperparameters that tune_attack found.

    Args:
        objective: Names the folder of best.json.
        method: A name in `registry.METHODS`.
        iterations: The largest number of passes of each part of the attack.

    Returns:
        The attack, as a function of a model and its stays.
    """
    best = read_json(paths.TUNE_ATTACK / objective / "best.json")
    return partial(METHODS[method], **best["hyperparameters"], iterations=iterations)
