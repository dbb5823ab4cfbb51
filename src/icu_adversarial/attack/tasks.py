"""Which stays are attacked, by which model, and how they are divided into tasks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from icu_adversarial.attack.api import Result, device_of
from icu_adversarial.core.errors import InputError

# Stays of a task, at most, on a CPU and on a GPU. A run that is killed loses one task per process.
TASK, GPU_TASK = 256, 4096

# A function of (logits_fn, x, y, lower=, upper=): an attack with its hyperparameters filled in.
Attack = Callable[..., Result]


@runtime_checkable
class Scaling(Protocol):
    """What an attack needs of features.scaling.Scaler."""

    @property
    def names(self) -> tuple[str, ...]:
        """The measurements, M."""

    @property
    def perturbable(self) -> np.ndarray:
        """Which measurements may be changed, bool (M,)."""

    @property
    def clinical_span(self) -> np.ndarray:
        """What 1 in model input units is in clinical units, float32 (M,)."""

    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
        """Turn a grid (N, T, M) into the input of a model, (N, T, C).

        The first M channels are the values, in [0, 1] or NaN. An attack changes no others.
        """


class Victim(NamedTuple):
    """An attacked model.

    Attributes:
        model: (B, T, C) -> logits (B, 2), in evaluation mode: of a fold, of all folds together, or
            from a file.
        scaler: The scaler that it was trained with.
    """

    model: Callable[[Tensor], Tensor]
    scaler: Scaling


class Task(NamedTuple):
    """Some stays of one fold.

    Attributes:
        fold: The fold, or schemas.ENSEMBLE or FILE.
        victim: The model that is attacked.
        stays: The n rows of schemas.COHORT.
        grid: (n, T, M) in clinical units, NaN = not observed.
        y: The class to leave, (n,).
    """

    fold: int
    victim: Victim
    stays: pd.DataFrame
    grid: np.ndarray
    y: np.ndarray

    @property
    def stay_id(self) -> np.ndarray:
        """The numbers of the stays, int64 (n,)."""
        return self.stays["stay_id"].to_numpy()


def choose_stays(
    predictions: pd.DataFrame,
    *,
    max_stays: int | None,
    attack_misclassified: bool,
    seed: int,
    split: Literal["oof", "test"] = "oof",
) -> pd.DataFrame:
    """Choose the stays to attack.

    The draw depends on `seed` and stay_id alone, so neither the order of the rows nor the other
    direction matters. A larger `max_stays` keeps the stays of a smaller one, unless one direction
    runs out.

    Args:
        predictions: schemas.PREDICTIONS.
        max_stays: How many to draw, half of each direction where possible. Where one direction has
            too few, the other one fills up. None: all.
        attack_misclassified: Whether to attack stays that are not classified correctly too.
        seed: Of the draw.
        split: oof or test.

    Returns:
        The columns stay_id, fold and y, sorted by stay_id. y is the predicted class, so a
        misclassified stay is flipped to its true class. No row if no stay is eligible.
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
    """Make the tasks of the chosen stays.

    Args:
        chosen: The stays, from `choose_stays`.
        cohort: schemas.COHORT.
        grid: (N, T, M) in the order of the cohort. Only the rows of one task are read at a time.
        victims: The models, by fold.
        size: Stays of a task, at most, as for `split_by_fold`.

    Returns:
        The tasks of `split_by_fold`.

    Raises:
        InputError: A stay is not in the cohort, or a fold has no model.
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
    """Divide the chosen stays into parts of one fold each.

    Args:
        chosen: The stays, from `choose_stays`.
        size: Stays of a part, at most. None: TASK, or GPU_TASK where there is a GPU.

    Returns:
        Each fold with its rows, in as few parts as possible. Their lengths differ by one at most.
    """
    size = size or (GPU_TASK if torch.cuda.is_available() else TASK)
    for fold, members in chosen.groupby("fold"):
        for part in np.array_split(np.arange(len(members)), -(-len(members) // size)):
            yield int(fold), members.iloc[part]


def model_input(task: Task) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make the tensors of a task, on the device of its model.

    A cell cannot be perturbed if its measurement never occurs in the training stays, or if it is
    NaN after scaling: without a value in the record space, or with interpolation none. The network
    reads 0 there. The box reaches from 0 to 1, or to a recorded value beyond.

    Args:
        task: The task.

    Returns:
        x (n, T, C), y (n,), and the box `lower`, `upper`, (n, T, M) each.
    """
    device, scaler = device_of(task.victim.model), task.victim.scaler
    x = torch.from_numpy(scaler.apply(task.grid, task.stays)).to(device)
    m = task.grid.shape[2]
    movable = torch.from_numpy(scaler.perturbable).to(device) & x[..., :m].isfinite()
    x = x.nan_to_num()
    values = x[..., :m]
    return (
        x,
        torch.from_numpy(task.y).to(device),
        torch.where(movable, values.clamp(max=0), values),
        torch.where(movable, values.clamp(min=1), values),
    )
