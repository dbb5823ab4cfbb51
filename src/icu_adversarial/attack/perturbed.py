"""What a model reads after a perturbation, and what the perturbation is in clinical units."""

import numpy as np
import torch
from torch import Tensor

from icu_adversarial.attack.api import margins
from icu_adversarial.attack.record import GROUPS, RecordScaling
from icu_adversarial.attack.tasks import Task, model_input


def margins_after(task: Task, delta: np.ndarray) -> Tensor:
    """Compute the margins Z_y - Z_t of a task's stays after a perturbation.

    In the record space the edited record is preprocessed again, by the NumPy code of the pipeline
    and not by the operator that the attack used.

    Args:
        task: The stays, the class to leave and the model.
        delta: The perturbations in model input units, float32 (n, T, M).

    Returns:
        The margins, (n,).
    """
    scaler = task.victim.scaler
    if isinstance(scaler, RecordScaling):
        return margins_of_grid(task, scaler.edited(task.grid, delta))
    x, y, *_ = model_input(task)
    moved = x[..., : delta.shape[2]] + torch.from_numpy(delta).to(x.device)
    return margins(task.victim.model, x, y, torch.clamp(moved, 0, 1))


def margins_after_clinical(task: Task, change: np.ndarray) -> Tensor:
    """As `margins_after`, for a perturbation in clinical units that was made for another model.

    In the grid space, the changed values stay within the limits of the task's own model.

    Args:
        task: The stays, the class to leave and the model.
        change: The perturbations in clinical units, float32 (n, T, M).
    """
    scaler = task.victim.scaler
    if isinstance(scaler, RecordScaling):
        return margins_of_grid(task, np.where(change != 0, task.grid + change, task.grid))
    x, y, lower, upper = model_input(task)
    span = np.where(scaler.perturbable, scaler.clinical_span, np.inf).astype(np.float32)
    moved = x[..., : change.shape[2]] + torch.from_numpy(change / span).to(x.device)
    return margins(task.victim.model, x, y, moved.clamp(lower, upper))


def margins_of_grid(task: Task, grid: np.ndarray) -> Tensor:
    """Compute the margins of a task's stays in the record space, with another grid.

    Args:
        task: The stays, the class to leave and the model. Its scaler is a RecordScaling.
        grid: (n, T, M) in clinical units, NaN = not observed.

    Returns:
        The margins, (n,).
    """
    x, y, *_ = model_input(task._replace(grid=grid))
    m = grid.shape[2]
    x[..., (GROUPS - 1) * m : GROUPS * m] = 0  # the models read what their scalers made
    return margins(task.victim.model, x, y, x[..., :m])


def clinical_change(task: Task, delta: np.ndarray) -> np.ndarray:
    """Turn a perturbation into clinical units.

    In the record space it is the new value minus the recorded one. A recorded value outside the
    limits of the model is limited first, so that its change is larger than that of the input.

    Args:
        task: The stays and the model.
        delta: The perturbations in model input units, float32 (n, T, M).

    Returns:
        float32 (n, T, M).
    """
    scaler = task.victim.scaler
    if isinstance(scaler, RecordScaling):
        edited = scaler.edited(task.grid, delta)
        return np.where(delta != 0, edited - task.grid, 0).astype(np.float32)
    return (delta * scaler.clinical_span).astype(np.float32)
