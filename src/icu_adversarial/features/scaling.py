"""From the grid to what a model sees: fitted on training subjects alone, stored with the model, applied anywhere."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from icu_adversarial.core.io import read_json, write_json
from icu_adversarial.features.grid import fill_gaps, since_observed
from icu_adversarial.features.statics import NO_STATICS, Statics, fit_statics
from icu_adversarial.measurements import NAMES, M

CHUNK = 128  # stays at a time: what is computed in between stays in the cache


@dataclass(frozen=True)
class Scaler:
    """Winsorising, gap filling, median imputation and scaling to [0, 1], as fitted by `fit_scaler`.

    lower, upper, median: float32 (19,) in clinical units. A measurement without a spread in the
    training stays (lower = upper, or never observed) becomes the constant 0 and is not
    `perturbable`: no model can have learned from it.
    winsorise: `before_gaps` limits the observed cells first, so that an impossible value counts
    as the limit when the hours around it are filled. `after_gaps` fills the gaps first, as
    lstm_adversarial_attack does.
    """

    lower: np.ndarray
    upper: np.ndarray
    median: np.ndarray
    interpolation: str
    limit_direction: str
    extra_channels: tuple[str, ...]
    statics: Statics = NO_STATICS
    winsorise: str = "before_gaps"

    @property
    def clinical_span(self) -> np.ndarray:
        """float32 (19,): what 1 in model input units is in clinical units."""
        return self.upper - self.lower

    @property
    def perturbable(self) -> np.ndarray:
        """bool (19,)."""
        return self.clinical_span > 0

    @property
    def channels(self) -> int:
        """C: 19 values, 19 for each extra channel, and the static inputs."""
        return M * (1 + len(self.extra_channels)) + self.statics.size

    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
        """grid: (N, T, 19) clinical units, NaN = not observed. stays: the same stays' rows of tables.COHORT, needed for static inputs alone.

        Returns float32 (N, T, C): 19 values in [0, 1], then each extra channel's 19 (`observed` 0 | 1, `hours_since_observed` as a share of the
        window), then the static inputs, the same at every hour. With interpolation `none`, unobserved values are NaN.
        """
        x = np.empty((*grid.shape[:2], self.channels), np.float32)
        if self.statics.inputs:
            if stays is None:
                raise ValueError(
                    "this scaler has static inputs: apply(grid, stays) needs the stays"
                )
            x[..., self.channels - self.statics.size :] = self.statics.apply(stays)[:, None]
        for first in range(0, len(grid), CHUNK):
            part = slice(first, first + CHUNK)
            self._write(grid[part], x[part])
        return x

    def values(self, grid: np.ndarray) -> np.ndarray:
        """The first 19 channels of `apply` alone, float32 (N, T, 19)."""
        return replace(self, extra_channels=(), statics=NO_STATICS).apply(grid)

    def _write(self, grid: np.ndarray, x: np.ndarray) -> None:
        observed, values = np.isfinite(grid), x[..., :M]
        if self.winsorise == "before_gaps":
            grid = np.clip(grid, self.lower, self.upper)
        values[:] = fill_gaps(grid, self.interpolation, self.limit_direction)
        if self.interpolation != "none":
            np.copyto(values, self.median, where=np.isnan(values))
        np.clip(values, self.lower, self.upper, out=values)  # after rounding, or after_gaps
        values -= self.lower
        values /= np.where(self.perturbable, self.clinical_span, 1)
        for i, name in enumerate(self.extra_channels, start=1):
            x[..., i * M : (i + 1) * M] = (
                observed if name == "observed" else since_observed(observed)
            )

    def to_clinical(self, values: np.ndarray) -> np.ndarray:
        """Model input units (..., 19) back to clinical units; winsorised values stay at their limit."""
        return (values * self.clinical_span + self.lower).astype(np.float32)

    def save(self, path: Path) -> None:
        content: dict[str, Any] = asdict(self)
        for name in ("lower", "upper", "median"):
            content[name] = dict(zip(NAMES, map(float, content[name]), strict=True))
        write_json(path, content, exact=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        content = read_json(path)
        for name in ("lower", "upper", "median"):
            content[name] = np.array([content[name][m] for m in NAMES], np.float32)
        return cls(
            **content
            | {
                "extra_channels": tuple(content["extra_channels"]),
                "statics": Statics.of(content["statics"]),
            }
        )


def widest(scalers: Sequence[Scaler]) -> Scaler:
    """The first of some scalers with the lowest lower and the highest upper limits of all; of a measurement that some know, among those that do."""
    known = np.stack([scaler.perturbable for scaler in scalers])
    lower = np.where(known, [scaler.lower for scaler in scalers], np.inf).min(0)
    upper = np.where(known, [scaler.upper for scaler in scalers], -np.inf).max(0)
    lower, upper = (np.where(known.any(0), limit, 0).astype(np.float32) for limit in (lower, upper))
    return replace(scalers[0], lower=lower, upper=upper)


def fit_scaler(
    grid: np.ndarray,
    stays: pd.DataFrame | None = None,
    *,
    interpolation: str,
    limit_direction: str,
    lower_percentile: float,
    upper_percentile: float,
    extra_channels: Sequence[str] = (),
    static_inputs: Sequence[str] = (),
    winsorise: str = "before_gaps",
) -> Scaler:
    """Percentiles and medians of the observed cells (means per bin, clinical units) of the training stays.

    grid: (N, T, 19), NaN = not observed; stays: their rows of tables.COHORT, needed for static inputs alone; training stays and no others.
    The other arguments are those of `features` and `model` in params.yaml.
    """
    if static_inputs and stays is None:
        raise ValueError("static inputs are fitted on the stays: fit_scaler(grid, stays, …)")
    numbers = np.zeros((3, M), np.float32)
    for j in range(M):
        seen = grid[..., j][np.isfinite(grid[..., j])]
        if len(seen):
            numbers[:, j] = np.percentile(seen, [lower_percentile, upper_percentile, 50])
    lower, upper, median = numbers
    statics = (
        fit_statics(stays, static_inputs) if static_inputs and stays is not None else NO_STATICS
    )
    return Scaler(
        lower,
        upper,
        median,
        interpolation,
        limit_direction,
        tuple(extra_channels),
        statics,
        winsorise,
    )
