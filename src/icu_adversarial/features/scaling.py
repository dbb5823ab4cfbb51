"""From the grid to the model input: fitted on training stays alone, stored with the model.

Everything that reads a model also reads its scaler: training, prediction, attacks and maps.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32

from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json, write_json
from icu_adversarial.features.grid import fill_gaps, since_observed
from icu_adversarial.features.statics import NO_STATICS, Statics, fit_statics
from icu_adversarial.measurements import DICTIONARY

CHUNK = 128  # stays that are scaled at a time: their intermediate arrays stay in the cache


@dataclass(frozen=True)
class Scaler:
    """Winsorising, filling of gaps, imputation of medians and scaling to [0, 1].

    A measurement without a spread in the training stays (lower = upper, or never observed) becomes
    the constant 0 and is not `perturbable`: no model can have learned from it.

    names: The measurements, M.
    lower, upper: The limits of each measurement, in clinical units. They become 0 and 1.
    median: The median of each measurement, in clinical units.
    interpolation, limit_direction: As for `grid.fill_gaps`.
    extra_channels: Which of `observed` and `hours_since_observed` follow the values.
    statics: The static inputs.
    winsorise: `before_gaps` limits the observed cells first. An impossible value then counts as
        the limit when the hours around it are filled. `after_gaps` fills the gaps first, as
        lstm_adversarial_attack does.
    """

    names: tuple[str, ...]
    lower: Float32[np.ndarray, " M"]
    upper: Float32[np.ndarray, " M"]
    median: Float32[np.ndarray, " M"]
    interpolation: str
    limit_direction: str
    extra_channels: tuple[str, ...]
    statics: Statics = NO_STATICS
    winsorise: str = "before_gaps"

    @property
    def clinical_span(self) -> Float32[np.ndarray, " M"]:
        """How many clinical units correspond to 1 in model input units."""
        return self.upper - self.lower

    @property
    def perturbable(self) -> Bool[np.ndarray, " M"]:
        """Which measurements vary in the training stays."""
        return self.clinical_span > 0

    @property
    def channels(self) -> int:
        """Number of channels, C: M values, M for each extra channel, and the static inputs."""
        return len(self.names) * (1 + len(self.extra_channels)) + self.statics.size

    def apply(
        self, grid: Float[np.ndarray, "N T M"], stays: pd.DataFrame | None = None
    ) -> Float32[np.ndarray, "N T C"]:
        """Turn a grid into model input.

        Args:
            grid: Values in clinical units; NaN = not observed.
            stays: The rows of schemas.COHORT of the same stays, needed for static inputs alone.

        Returns:
            M values in [0, 1]; M channels for each extra channel: `observed` is 0 or 1,
            `hours_since_observed` a share of the window; the static inputs, the same at every
            hour. With interpolation `none`, unobserved values are NaN.

        Raises:
            ValueError: There are static inputs, but no stays.
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

    def values(self, grid: Float[np.ndarray, "N T M"]) -> Float32[np.ndarray, "N T M"]:
        """The first M channels of `apply`."""
        return replace(self, extra_channels=(), statics=NO_STATICS).apply(grid)

    def _write(self, grid: np.ndarray, x: np.ndarray) -> None:
        """Fill all channels of x, (n, T, C), but the static inputs. grid: (n, T, M)."""
        m = len(self.names)
        observed, values = np.isfinite(grid), x[..., :m]
        binary = np.array([DICTIONARY[name].kind == "binary" for name in self.names])
        if binary.any():
            grid = np.where(binary & ~observed, np.float32(0), grid)
        scaled = self.scale(grid)
        if self.winsorise == "before_gaps":
            scaled = self.limit(scaled)
        values[:] = fill_gaps(scaled, self.interpolation, self.limit_direction)
        if self.interpolation != "none":
            np.copyto(values, self.scale(self.median), where=np.isnan(values))
        values[:] = self.limit(values)  # after rounding, or after_gaps
        for i, name in enumerate(self.extra_channels, start=1):
            x[..., i * m : (i + 1) * m] = (
                observed if name == "observed" else since_observed(observed)
            )

    def scale(self, clinical: Float[np.ndarray, "*cells M"]) -> Float32[np.ndarray, "*cells M"]:
        """Turn clinical units into model input units, without limits: 0 at `lower`, 1 at `upper`.

        A measurement that is not perturbable keeps its clinical unit, so that `limit` makes it 0.
        """
        unit = np.where(self.perturbable, self.clinical_span, 1).astype(np.float32)
        return ((clinical - self.lower) / unit).astype(np.float32, copy=False)

    def limit(self, scaled: Float[np.ndarray, "*cells M"]) -> Float[np.ndarray, "*cells M"]:
        """Limit scaled values to [0, 1], and to 0 where a measurement is not perturbable."""
        return np.clip(scaled, np.float32(0), self.perturbable.astype(np.float32))

    def to_clinical(self, values: Float[np.ndarray, "*cells M"]) -> Float32[np.ndarray, "*cells M"]:
        """Turn model input units into clinical units. A winsorised value becomes its limit."""
        return (values * self.clinical_span + self.lower).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write this scaler as JSON."""
        content: dict[str, Any] = asdict(self)
        names = content.pop("names")
        for name in ("lower", "upper", "median"):
            content[name] = dict(zip(names, map(float, content[name]), strict=True))
        write_json(path, content, exact=True)

    @classmethod
    def load(cls, path: Path) -> "Scaler":
        """Read what `save` wrote.

        Raises:
            InputError: The file is missing or not JSON.
        """
        content = read_json(path)
        content["names"] = tuple(content["lower"])
        for name in ("lower", "upper", "median"):
            content[name] = np.array([*content[name].values()], np.float32)
        content["extra_channels"] = tuple(content["extra_channels"])
        content["statics"] = Statics.of(content["statics"])
        return cls(**content)


def read_scaler(path: Path, names: Sequence[str]) -> Scaler:
    """Read the scaler of a model that is to read the grid.

    Args:
        path: The file.
        names: The measurements of the columns of the grid.

    Raises:
        InputError: The file is missing or not JSON, or the model reads other measurements.
    """
    scaler = Scaler.load(path)
    if scaler.names != tuple(names):
        raise InputError(
            f"{path}: the model reads {', '.join(scaler.names)}, but the columns of {paths.GRID} "
            f"are {', '.join(names)}: run `dvc repro`, or use a model of these measurements"
        )
    return scaler


def widest(scalers: Sequence[Scaler]) -> Scaler:
    """A copy of `scalers[0]` whose limits enclose those of all scalers.

    Only scalers count for which the measurement is perturbable.
    """
    known = np.stack([scaler.perturbable for scaler in scalers])
    lower = np.where(known, [scaler.lower for scaler in scalers], np.inf).min(0)
    upper = np.where(known, [scaler.upper for scaler in scalers], -np.inf).max(0)
    lower, upper = (np.where(known.any(0), limit, 0).astype(np.float32) for limit in (lower, upper))
    return replace(scalers[0], lower=lower, upper=upper)


def fit_scaler(
    grid: Float[np.ndarray, "N T M"],
    names: Sequence[str],
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
    """Fit a scaler: percentiles and medians of the observed cells of the training stays.

    Args:
        grid: Values of the training stays in clinical units; NaN = not observed.
        names: The measurements, M. A binary one has the limits 0 and 1, and is 0 in a bin without a
            value: nothing is charted when there is no ventilator, for example.
        stays: Their rows of schemas.COHORT, needed for static inputs alone.
        interpolation, limit_direction, extra_channels, winsorise: As for `Scaler`.
        lower_percentile, upper_percentile: Which percentiles become 0 and 1, in [0, 100].
        static_inputs: As for `statics.fit_statics`.

    Returns:
        The scaler.

    Raises:
        ValueError: There are static inputs, but no stays.
    """
    if static_inputs and stays is None:
        raise ValueError("static inputs are fitted on the stays: fit_scaler(grid, names, stays, …)")
    numbers = np.zeros((3, len(names)), np.float32)
    for j, name in enumerate(names):
        seen = grid[..., j][np.isfinite(grid[..., j])]
        if DICTIONARY[name].kind == "binary":
            numbers[:, j] = 0, float(len(seen) > 0), 0
        elif len(seen):
            numbers[:, j] = np.percentile(seen, [lower_percentile, upper_percentile, 50])
    statics = NO_STATICS
    if static_inputs and stays is not None:
        statics = fit_statics(stays, static_inputs)
    lower, upper, median = numbers
    return Scaler(
        tuple(names),
        lower,
        upper,
        median,
        interpolation,
        limit_direction,
        tuple(extra_channels),
        statics,
        winsorise,
    )
