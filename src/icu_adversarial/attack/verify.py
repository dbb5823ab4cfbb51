"""Attack the stays of tasks, and check every example again as it will be stored."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import joblib
import numpy as np
import torch

from icu_adversarial.attack.api import margins, zero_small
from icu_adversarial.attack.examples import KINDS, Found, describe, join
from icu_adversarial.attack.perturbed import clinical_change, margins_after
from icu_adversarial.attack.tasks import Attack, Task, model_input
from icu_adversarial.core.parallel import prepare_worker, workers


def run_tasks(tasks: Iterable[Task], attack: Attack) -> Iterator[Found]:
    """Attack tasks in parallel processes.

    Args:
        tasks: The tasks.
        attack: The attack with its hyperparameters.

    Returns:
        The examples of each task, in the order of the tasks. They do not depend on the number of
        processes.
    """
    return in_processes(partial(run_task, attack=attack), ((task,) for task in tasks))


def in_processes(
    function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[Any]:
    """Call a function in parallel processes, or in this one where there is a GPU.

    Args:
        function: What to call.
        arguments: The arguments of each call. Only a few are drawn ahead.

    Returns:
        The results, in the order of `arguments`.
    """
    if torch.cuda.is_available():  # one process keeps it busy
        yield from (function(*a) for a in arguments)
    else:
        yield from workers(return_as="generator")(joblib.delayed(function)(*a) for a in arguments)


def run_task(task: Task, attack: Attack) -> Found:
    """Attack the stays of a task, and check each example in a new forward pass.

    An example counts when the model no longer predicts y after the perturbation that will be
    stored, with exactly its float32 cells.

    Args:
        task: The stays and their model.
        attack: The attack with its hyperparameters.

    Returns:
        The first and the best examples.
    """
    prepare_worker()
    x, y, lower, upper = model_input(task)
    result = attack(task.victim.model, x, y, lower=lower, upper=upper)
    found = []
    for kind, (perturbation, iteration) in zip(KINDS, result, strict=True):
        delta = zero_small(perturbation)
        with torch.autocast(x.device.type, enabled=False):  # whatever precision the attack ran in
            margin = margins_after(task, delta.cpu().numpy())
        success = (iteration >= 0) & (margin < 0)
        P, *arrays = (tensor.cpu().numpy() for tensor in (delta, iteration, margin, success))
        found.append(describe(task, kind, P, clinical_change(task, P), *arrays))
    return join(found)


def decide(task: Task) -> np.ndarray:
    """Predict with the task's model whether its stays die, bool (n,)."""
    x, y, *_ = model_input(task)
    values = x[..., : task.grid.shape[2]]
    return (margins(task.victim.model, x, torch.zeros_like(y), values) < 0).cpu().numpy()
