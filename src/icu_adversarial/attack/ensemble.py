"""Several models, each with its own scaler, as one victim: the mean of their logits.

The perturbation is in clinical units, so it is the same for all models.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from icu_adversarial.features.scaling import Scaler, widest


class EnsembleScaling:
    """The inputs of all members next to each other.

    The first M channels are the values that an attack changes, in [0, 1] between the widest limits
    of all members. The next M channels are the same values again, so that the change can be
    computed. Then come the channels of each member.

    Args:
        scalers: The scalers of the members.
    """

    def __init__(self, scalers: Sequence[Scaler]) -> None:
        self.scalers, self.reference = scalers, widest(scalers)

    @property
    def names(self) -> tuple[str, ...]:
        """The measurements, M."""
        return self.reference.names

    @property
    def perturbable(self) -> np.ndarray:
        """Which measurements may be changed, bool (M,)."""
        return self.reference.perturbable

    @property
    def clinical_span(self) -> np.ndarray:
        """What 1 in model input units is in clinical units, float32 (M,)."""
        return self.reference.clinical_span

    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
        """Turn a grid into the input of the ensemble.

        Args:
            grid: (N, T, M) in clinical units, NaN = not observed.
            stays: As for Scaler.apply.

        Returns:
            float32 (N, T, 2 M + the channels of all members).
        """
        values = self.reference.values(grid)
        return np.concatenate(
            [values, values, *(scaler.apply(grid, stays) for scaler in self.scalers)], axis=2
        )


class Ensemble(nn.Module):
    """The mean of the members' logits.

    The perturbation is in clinical units. Each member applies it to its own winsorised value.

    Args:
        members: The models.
        scaling: The scaling with their scalers, in the same order.
    """

    def __init__(self, members: Sequence[nn.Module], scaling: EnsembleScaling) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        # The numbers differ where the training stays of one fold lack an ICU type.
        self.channels = [scaler.channels for scaler in scaling.scalers]
        spans = np.stack([scaler.clinical_span for scaler in scaling.scalers])
        ratio = np.divide(scaling.clinical_span, spans, out=np.zeros_like(spans), where=spans > 0)
        # (members, M): one unit of the reference in units of each member.
        self.register_buffer("ratio", torch.from_numpy(ratio))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) of EnsembleScaling → (B, 2)."""
        m = self.get_buffer("ratio").shape[1]
        moved = x[..., :m] - x[..., m : 2 * m]
        logits = []
        for member, ratio, own in zip(
            self.members,
            self.get_buffer("ratio"),
            torch.split(x[..., 2 * m :], self.channels, 2),
            strict=True,
        ):
            values = (own[..., :m] + moved * ratio).clamp(0, 1)
            logits.append(member(torch.cat([values, own[..., m:]], 2)))
        return torch.stack(logits).mean(0)
