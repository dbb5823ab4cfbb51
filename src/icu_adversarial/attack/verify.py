"""One task: attack its stays, and check every example again as it will be stored."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import torch

from icu_adversarial.attack.api import DIRECTIONS, Result, margins, zero_small
from icu_adversarial.attack.tasks import Attack, Task, model_input
from icu_adversarial.core.parallel import prepare_worker, workers
from icu_adversarial.measurements import M

KINDS = Result._fields


class Found(NamedTuple):
    """Of one task. examples: the columns of tables.EXAMPLES. cells: those of tables.PERTURBATIONS, but the number of the bin for its first hour
    and the measurement as its column number."""

    examples: pd.DataFrame
    cells: pd.DataFrame


def run_tasks(tasks: Iterable[Task], attack: Attack) -> Iterator[Found]:
    """Attack the tasks in parallel processes; results come in the order of the tasks and do not depend on the number of processes."""
    return in_processes(partial(run_task, attack=attack), ((task,) for task in tasks))


def in_processes(
    function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[Any]:
    """function(*a) for each a of `arguments`, in this order; few of them are drawn ahead."""
    if torch.cuda.is_available():  # one process keeps it busy
        yield from (function(*a) for a in arguments)
    else:
        yield from workers(return_as="generator")(joblib.delayed(function)(*a) for a in arguments)


def run_task(task: Task, attack: Attack) -> Found:
    """Attack a task's stays, and check each example as it will be stored: again, in a fresh forward pass.

    An example counts when clamp(x + delta, 0, 1) is not classified as y, where delta holds the float32 cells to store and nothing else.
    """
    prepare_worker()
    model = task.victim.model
    x, y, lower, upper = model_input(task)
    result = attack(model, x, y, lower=lower, upper=upper)
    found = []
    for kind, (perturbation, iteration) in zip(KINDS, result, strict=True):
        delta = zero_small(perturbation)
        with torch.autocast(x.device.type, enabled=False):  # whatever precision the attack ran in
            margin = margins(model, x, y, torch.clamp(x[..., :M] + delta, 0, 1))
        success = (iteration >= 0) & (margin < 0)
        found.append(
            _describe(
                task,
                kind,
                *(tensor.cpu().numpy() for tensor in (delta, iteration, margin, success)),
            )
        )
    return Found(*map(_concat, zip(*found, strict=True)))


def decide(task: Task) -> np.ndarray:
    """What the task's model predicts for its stays, bool (n,): whether they die."""
    x, y, *_ = model_input(task)
    return (margins(task.victim.model, x, torch.zeros_like(y), x[..., :M]) < 0).cpu().numpy()


def _describe(
    task: Task,
    kind: str,
    delta: np.ndarray,
    iteration: np.ndarray,
    margin: np.ndarray,
    success: np.ndarray,
) -> Found:
    """Norms and non-zero cells of a task's examples of one kind. delta: (n, T, 19); the other arrays: (n,)."""
    n = len(success)
    size = np.abs(delta).reshape(n, -1)
    failed = ~success
    examples = pd.DataFrame(
        {
            "stay_id": task.stay_id,
            "fold": np.int8(task.fold),
            "direction": np.array(DIRECTIONS)[task.y],
            "kind": kind,
            "success": success,
            "iteration": np.where(success, iteration, np.int32(-1)),
            "l0": pd.Series((size > 0).sum(1), dtype="Int32").mask(failed),
            "l1": np.where(success, size.sum(1, dtype=np.float64), np.nan).astype(np.float32),
            "linf": np.where(success, size.max(1), np.nan).astype(np.float32),
            "margin": np.where(success, margin, np.nan).astype(np.float32),
        }
    )
    row, bin_, column = np.nonzero(delta * success[:, None, None])
    value = delta[row, bin_, column]
    cells = pd.DataFrame(
        {
            "stay_id": task.stay_id[row],
            "kind": kind,
            "bin": bin_.astype(np.int8),
            "measurement": column.astype(np.int8),
            "delta": value,
            "delta_clinical": value * task.victim.scaler.clinical_span[column],
            "observed": np.isfinite(task.grid[row, bin_, column]),
        }
    )
    return Found(examples, cells)


def _concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)
