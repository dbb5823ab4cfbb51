"""The search of an attack's hyperparameters on some stays, for the stage tune_attack."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import torch
from optuna.trial import FrozenTrial, TrialState

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.examples import Found, examples_table
from icu_adversarial.attack.objectives import score, summarise
from icu_adversarial.attack.tasks import Attack, Task
from icu_adversarial.attack.verify import run_tasks
from icu_adversarial.config.tune_attack import TuneAttack
from icu_adversarial.core.parallel import count_processes
from icu_adversarial.search.shared import WORKER, count_workers
from icu_adversarial.search.study import Watch, best_trial, run_study

LOGGER = logging.getLogger(__name__)


def study_settings(settings: TuneAttack, objective: str, method: str, space: str) -> str:
    """What a study depends on, as JSON. A study that is continued with more trials stays the same.

    Args:
        settings: `tune_attack` of params.yaml.
        objective: What the search maximises.
        method: The attack. Only its search space counts.
        space: What the attack moves.
    """
    chosen = settings.model_dump(exclude={"trials", "space"})
    ranges = getattr(settings.space, method).model_dump()
    return json.dumps(chosen | {"objective": objective, method: ranges, "space": space})


def search_attack(
    tasks: list[Task],
    settings: TuneAttack,
    objective: str,
    method: str,
    cells: int,
    state: Path,
    watch: Watch,
) -> list[FrozenTrial]:
    """Run the search, or continue it.

    The value of a trial is the score of the best examples of all stays. After each task, the trial
    reports the score that it has reached so far and may be pruned. The order of the tasks is the
    same for every trial.

    Args:
        tasks: The stays and their models.
        settings: `tune_attack` of params.yaml.
        objective: What the search maximises, as for `objectives.score`.
        method: A name in METHODS.
        cells: Number of cells that a perturbation may change, T * M.
        state: The folder of the study.
        watch: As for `run_study`.

    Returns:
        The ended trials, in order.
    """
    space, stays = getattr(settings.space, method), sum(len(task.y) for task in tasks)

    def evaluate(trial: optuna.Trial, hyperparameters: dict[str, Any]) -> float:
        attack = partial(METHODS[method], **hyperparameters, iterations=settings.iterations)
        found: list[Found] = []
        examples, value = _best_examples(found), 0.0
        for result in _in_groups(tasks, attack):
            found.append(result)
            examples = _best_examples(found)
            value = score(
                objective, examples, stays=stays, cells=cells, max_perts=settings.max_perts
            )
            LOGGER.debug("search: task %d/%d, score %.4g", len(found), len(tasks), value)
            trial.report(value, step=len(found) - 1)
            if len(found) < len(tasks) and trial.should_prune():
                _describe(trial, examples)
                raise optuna.TrialPruned
        _describe(trial, examples)
        return value

    return run_study(
        evaluate,
        space,
        trials=settings.trials if type(space).model_fields else 1,
        seed=settings.seed,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=settings.pruner_startup_trials),
        state=state,
        watch=watch,
    )


def summary(trials: list[FrozenTrial], best: dict[str, Any]) -> dict[str, Any]:
    """Summarise a search for metrics.json.

    Args:
        trials: What `search_attack` returned.
        best: What `write_study` returned for them.

    Returns:
        trials, trials_pruned, workers (processes that ran them), best_value, the values of
        `objectives.summarise` for the best trial, and best: its hyperparameters.
    """
    described = best_trial(trials, "maximize").user_attrs
    return {
        "trials": len(trials),
        "trials_pruned": sum(t.state == TrialState.PRUNED for t in trials),
        "workers": count_workers(trials),
        "best_value": best["value"],
        **{name: value for name, value in described.items() if name != WORKER},
        "best": best["hyperparameters"],
    }


def shown_attribute(objective: str) -> str | None:
    """What the figures of a search show instead of the score, as for `figure_tables`.

    For robust_l0 and robust_l1 it is the median norm, which is easier to read than the score.
    """
    robust = objective.startswith("robust_")
    return f"median_{objective.removeprefix('robust_')}" if robust else None


def _in_groups(tasks: list[Task], attack: Attack) -> Iterator[Found]:
    """The results of the tasks, as many at once as there are processes.

    A trial that is pruned after a group has then wasted nothing.
    """
    processes = 1 if torch.cuda.is_available() else count_processes()
    for start in range(0, len(tasks), processes):
        yield from list(run_tasks(tasks[start : start + processes], attack))


def _best_examples(found: list[Found]) -> pd.DataFrame:
    """The rows of schemas.EXAMPLES of kind best."""
    return examples_table(found).to_pandas().query("kind == 'best'")


def _describe(trial: optuna.Trial, examples: pd.DataFrame) -> None:
    """Store the success rate and the medians so far, which readers understand better than the
    score."""
    for name, number in summarise(examples).items():
        trial.set_user_attr(name, number)
