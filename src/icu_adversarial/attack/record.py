"""The record space: an attack moves measured values, and the model reads what becomes of them.

In the grid space an attack moves the cells of the model's input, also those that preprocessing has
filled. In the record space it moves the values of the observed cells alone. From them, every pass
computes what `features.scaling.Scaler` makes of the edited record: limits, filled gaps, scaling.
The channels `observed` and `hours_since_observed` stay, because no value is added or removed.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from icu_adversarial.attack.ensemble import EnsembleScaling
from icu_adversarial.features.grid import sources
from icu_adversarial.measurements import DICTIONARY

GROUPS = 5  # groups of M channels before those of the models


class RecordScaling(EnsembleScaling):
    """The input of a `RecordModel`.

    Five groups of M channels come first. They are the values of the observed cells in model input
    units, NaN where an attack may not change them; for each cell, the bins of the observed cells
    on its left and right from which it is filled, and the weight of the right one; and 1 where the
    cell depends on the record in this way, otherwise 0. Then come the channels of each model.

    Binary measurements, and sums with their parts, are not changed: a part of a binary value, or a
    sum that differs from its parts, is no record.

    Args:
        scalers: The scalers of the models. The values are in [0, 1] between the widest limits of
            all of them. Only the limits differ between the models.
    """

    @property
    def perturbable(self) -> np.ndarray:
        """Which measurements may be changed, bool (M,)."""
        return super().perturbable & ~fixed(self.names)

    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
        """Turn a grid into the input of a `RecordModel`.

        Args:
            grid: (N, T, M) in clinical units, NaN = not observed.
            stays: As for Scaler.apply.

        Returns:
            float32 (N, T, 5 M + the channels of all models).
        """
        free = np.isfinite(grid) & self.perturbable
        found = sources(np.isfinite(grid), self.reference.interpolation, self._direction)
        parts = [
            np.where(free, self.recorded(grid), np.float32(np.nan)),
            found.left,
            found.right,
            found.weight,
            found.known & self.perturbable,
            *(scaler.apply(grid, stays) for scaler in self.scalers),
        ]
        return np.concatenate([np.asarray(part, np.float32) for part in parts], axis=2)

    def recorded(self, grid: np.ndarray) -> np.ndarray:
        """The values of the observed cells in model input units, (N, T, M).

        Where gaps are filled before values are limited, they can be outside [0, 1].
        """
        scaled = self.reference.scale(grid)
        before = self.reference.winsorise == "before_gaps"
        return self.reference.limit(scaled) if before else scaled

    def edited(self, grid: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """The grid after a perturbation, in clinical units.

        Args:
            grid: (n, T, M), NaN = not observed.
            delta: The perturbation in model input units, (n, T, M). Unchanged cells have 0.

        Returns:
            The grid, with the new value in each changed cell.
        """
        moved = self.reference.to_clinical(self.recorded(grid) + delta)
        return np.where(delta != 0, moved, grid)

    @property
    def _direction(self) -> str:
        return self.reference.limit_direction


def fixed(names: Sequence[str]) -> np.ndarray:
    """Which measurements no edit of a record changes, bool (M,).

    They are the binary ones, and a sum with its parts if all of them are measurements.
    """
    bound: set[str] = {name for name in names if DICTIONARY[name].kind == "binary"}
    for name in names:
        parts = DICTIONARY[name].sum_of
        if parts and set(parts) <= set(names):
            bound |= {name, *parts}
    return np.array([name in bound for name in names])


class RecordModel(nn.Module):
    """The mean of the models' logits for an edited record.

    Args:
        models: (B, T, C) → logits (B, 2) each.
        scaling: The scaling with their scalers, in the same order.
    """

    def __init__(self, models: Sequence[nn.Module], scaling: RecordScaling) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.channels = [scaler.channels for scaler in scaling.scalers]
        self.measurements = len(scaling.names)
        self.limits_first = scaling.reference.winsorise == "before_gaps"
        self.alone = len(models) == 1
        # (models, M): a value of the reference in units of each model is value * ratio + shift
        ends = [
            np.stack([scaler.scale(end) for scaler in scaling.scalers])
            for end in (scaling.reference.lower, scaling.reference.upper)
        ]
        self.register_buffer("shift", torch.from_numpy(ends[0]))
        self.register_buffer("ratio", torch.from_numpy(ends[1] - ends[0]))
        tops = np.stack([scaler.perturbable for scaler in scaling.scalers]).astype(np.float32)
        self.register_buffer("top", torch.from_numpy(tops))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) of RecordScaling → (B, 2)."""
        m = self.measurements
        recorded, left, right, weight, depends = (
            x[..., i * m : (i + 1) * m] for i in range(GROUPS)
        )
        bins, depends = (left.long(), right.long()), depends > 0
        logits = []
        parts = torch.split(x[..., GROUPS * m :], self.channels, 2)
        for i, (model, own) in enumerate(zip(self.models, parts, strict=True)):
            value = recorded
            if not self.alone:
                value = recorded * self.get_buffer("ratio")[i] + self.get_buffer("shift")[i]
            if self.limits_first:
                value = self._limit(value, i)
            value = self._limit(_filled(value, *bins, weight), i)
            value = torch.where(depends, value, own[..., :m])
            logits.append(model(torch.cat([value, own[..., m:]], 2)))
        return logits[0] if self.alone else torch.stack(logits).mean(0)

    def _limit(self, value: Tensor, i: int) -> Tensor:
        """The values within the limits of model i."""
        return value.clamp(min=0).minimum(self.get_buffer("top")[i])


def _filled(value: Tensor, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """Fill the gaps, as `features.grid.fill_gaps`. All are (B, T, M)."""
    start, end = (value.gather(1, bins) for bins in (left, right))
    return start + (end - start) * weight
