"""What the stages tune_attack, attack and probe read: models, stays and hyperparameters."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.tasks import Attack, Task, Victim, make_tasks
from icu_adversarial.attack.victims import read_file, read_victims
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json
from icu_adversarial.core.schemas import COHORT, read_table


def read_attacked_models(target: str, models: Path) -> dict[int, Victim]:
    """Read the models that are attacked.

    Args:
        target: attack.target of params.yaml.
        models: The folder of the model, for target file.

    Returns:
        The models by fold, with schemas.ENSEMBLE and FILE.
    """
    return read_file(models) if target == "file" else read_victims()


def read_tasks(victims: dict[int, Victim]) -> Callable[..., Iterator[Task]]:
    """Bind `tasks.make_tasks` to the cohort, its grid and the victims.

    Args:
        victims: The models, by fold.

    Returns:
        A function of the chosen stays and, optionally, the largest number of stays in a task.
    """
    return partial(
        make_tasks,
        cohort=read_table(paths.COHORT, COHORT),
        grid=read_array(paths.GRID),
        victims=victims,
    )


def read_attack(objective: str, method: str, iterations: int) -> Attack:
    """Bind an attack to the hyperparameters that tune_attack found for `objective`.

    Args:
        objective: Names the folder of best.json.
        method: A name in registry.METHODS.
        iterations: Passes per sample and part of the attack, at most.

    Returns:
        The attack as a function of (logits_fn, x, y, lower=, upper=).
    """
    best = read_json(paths.TUNE_ATTACK / objective / "best.json")
    return partial(METHODS[method], **best["hyperparameters"], iterations=iterations)
