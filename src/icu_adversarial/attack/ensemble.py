"""Several models with scalers of their own as one victim: the mean of their logits, one perturbation in clinical units for all."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from icu_adversarial.features.scaling import Scaler, widest
from icu_adversarial.measurements import M


class EnsembleScaling:
    """Every member's model input side by side. Channels: 0..18 the values that an attack moves, in [0, 1] between the widest limits of all members;
    19..37 the same again, so that the movement can be read off; then the channels of each member."""

    def __init__(self, scalers: Sequence[Scaler]) -> None:
        self.scalers, self.reference = scalers, widest(scalers)

    @property
    def perturbable(self) -> np.ndarray:
        """bool (19,)."""
        return self.reference.perturbable

    @property
    def clinical_span(self) -> np.ndarray:
        """float32 (19,): what 1 in model input units is in clinical units."""
        return self.reference.clinical_span

    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
        """grid: (N, T, 19) clinical units, NaN = not observed. stays: as for Scaler.apply. Returns float32 (N, T, 38 + all members' channels)."""
        values = self.reference.values(grid)
        return np.concatenate(
            [values, values, *(scaler.apply(grid, stays) for scaler in self.scalers)], axis=2
        )


class Ensemble(nn.Module):
    """(B, T, C) of EnsembleScaling → the mean of the members' logits, (B, 2).

    A member's value moves by the same clinical amount from where its own limits hold it: of a value beyond them, not from where the record has it.
    """

    def __init__(self, members: Sequence[nn.Module], scaling: EnsembleScaling) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.channels = [
            scaler.channels for scaler in scaling.scalers
        ]  # they differ where one fold's training stays lack an ICU type
        spans = np.stack([scaler.clinical_span for scaler in scaling.scalers])
        ratio = np.divide(scaling.clinical_span, spans, out=np.zeros_like(spans), where=spans > 0)
        self.register_buffer(
            "ratio", torch.from_numpy(ratio)
        )  # (members, 19): a reference unit in units of each member

    def forward(self, x: Tensor) -> Tensor:
        moved = x[..., :M] - x[..., M : 2 * M]
        logits = []
        for member, ratio, own in zip(
            self.members,
            self.get_buffer("ratio"),
            torch.split(x[..., 2 * M :], self.channels, 2),
            strict=True,
        ):
            values = (own[..., :M] + moved * ratio).clamp(0, 1)
            logits.append(member(torch.cat([values, own[..., M:]], 2)))
        return torch.stack(logits).mean(0)
