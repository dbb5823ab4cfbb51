"""Which stays are attacked, by which model, and how they are divided into tasks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from icu_adversarial.attack.api import Result, device_of
from icu_adversarial.core.errors import InputError
from icu_adversarial.measurements import M

TASK, GPU_TASK = 256, 4096  # stays of one fold at most: what a killed run loses, per process

Attack = Callable[
    ..., Result
]  # (logits_fn, x, y, lower=, upper=): one of methods.METHODS with its hyperparameters filled in


@runtime_checkable
class Scaling(Protocol):
    """What features.scaling.Scaler offers: channels 0..18 of `apply`'s (N, T, C) are the values in [0, 1] or NaN, all others stay as they are."""

    @property
    def perturbable(self) -> np.ndarray: ...
    @property
    def clinical_span(self) -> np.ndarray: ...
    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray: ...


class Victim(NamedTuple):
    """The model of a fold, of all folds, or from a file, (B, T, C) -> logits (B, 2), in evaluation mode, and the scaler that it was trained with."""

    model: Callable[[Tensor], Tensor]
    scaler: Scaling


class Task(NamedTuple):
    """Some stays of one fold. stays: their n rows of tables.COHORT. grid: (n, T, 19), clinical units, NaN = not observed. y: (n,), the class to
    leave."""

    fold: int
    victim: Victim
    stays: pd.DataFrame
    grid: np.ndarray
    y: np.ndarray

    @property
    def stay_id(self) -> np.ndarray:
        """int64 (n,)."""
        return self.stays["stay_id"].to_numpy()


def choose_stays(
    predictions: pd.DataFrame,
    *,
    max_stays: int | None,
    attack_misclassified: bool,
    seed: int,
    split: Literal["oof", "test"] = "oof",
) -> pd.DataFrame:
    """The stays of `split` to attack, correctly classified unless `attack_misclassified`; sorted by stay_id.

    y is the predicted class, which is the label of a correctly classified stay: a misclassified stay is flipped to its true class.
    Of more than `max_stays`, half of each direction where possible, filled up from the other one; drawn by `seed` and stay_id alone, so that
    neither the order of the rows nor the other direction matters. A larger max_stays keeps the stays of a smaller one, unless one direction runs out.
    predictions: tables.PREDICTIONS. Returns columns stay_id, fold, y; no row if no stay is eligible.
    """
    eligible = (predictions["split"] == split) & (
        attack_misclassified | (predictions["predicted"] == predictions["died"])
    )
    stays = predictions[eligible].sort_values("stay_id", ignore_index=True)
    stays = stays.assign(y=stays["predicted"].astype(np.int64))[["stay_id", "fold", "y"]]
    if max_stays is None or len(stays) <= max_stays:
        return stays
    rows = [
        np.random.default_rng([seed, y]).permutation(np.flatnonzero(stays["y"] == y))
        for y in (0, 1)
    ]
    ones = min(len(rows[1]), max(max_stays // 2, max_stays - len(rows[0])))
    return stays.iloc[
        np.sort(np.concatenate([rows[0][: max_stays - ones], rows[1][:ones]]))
    ].reset_index(drop=True)


def make_tasks(
    chosen: pd.DataFrame,
    cohort: pd.DataFrame,
    grid: np.ndarray,
    victims: Mapping[int, Victim],
    size: int | None = None,
) -> Iterator[Task]:
    """`chosen` (of `choose_stays`) as the tasks of `split_by_fold`.

    cohort: tables.COHORT. grid: (N, T, 19) in its order, of which only a task's rows are read at a time. victims: by fold.
    Raises InputError for a stay that is not in the cohort or a fold without a model.
    """
    absent = int((~chosen["stay_id"].isin(cohort["stay_id"])).sum())
    if absent:
        raise InputError(
            f"{absent} of {len(chosen)} predicted stays are not in the cohort: run `dvc repro`"
        )
    for fold, members in split_by_fold(chosen, size):
        if fold not in victims:
            raise InputError(f"fold {fold} has predictions but no model: run `dvc repro`")
        rows = pd.Index(cohort["stay_id"]).get_indexer(members["stay_id"])
        yield Task(
            fold, victims[fold], cohort.iloc[rows], np.array(grid[rows]), np.array(members["y"])
        )


def split_by_fold(
    chosen: pd.DataFrame, size: int | None = None
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Each fold with its rows of `chosen`, in as few parts of at most `size` as possible, of equal length give or take one. size: by default TASK,
    or GPU_TASK where there is a GPU."""
    size = size or (GPU_TASK if torch.cuda.is_available() else TASK)
    for fold, members in chosen.groupby("fold"):
        for part in np.array_split(np.arange(len(members)), -(-len(members) // size)):
            yield int(fold), members.iloc[part]


def model_input(task: Task) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (n, T, C), y (n,) and the box `lower`, `upper` (n, T, 19) of a task, where its model is.

    Closed are the values of measurements that no training stay had, and those that the scaler leaves NaN (interpolation none, not observed): the
    network reads 0 there.
    """
    device, scaler = device_of(task.victim.model), task.victim.scaler
    x = torch.from_numpy(scaler.apply(task.grid, task.stays)).to(device)
    movable = torch.from_numpy(scaler.perturbable).to(device) & x[..., :M].isfinite()
    x = x.nan_to_num()
    values = x[..., :M]
    return (
        x,
        torch.from_numpy(task.y).to(device),
        torch.where(movable, 0, values),
        torch.where(movable, 1, values),
    )
