"""What the baselines read: summaries of each measurement over the window, and the static inputs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32

from icu_adversarial.features.statics import fit_statics

SUMMARIES = (
    "mean", "deviation", "trend", "recent", "last", "minimum", "maximum", "count",
)  # fmt: skip
CHUNK = 512  # stays that are summarised at a time, which limits the memory


def summaries(grid: Float[np.ndarray, "N T M"]) -> Float32[np.ndarray, "N D"]:
    """Summarise the observed values of each measurement over the window.

    The first five and the count are those of model/networks/summary.py, here of the values in
    clinical units.

    Args:
        grid: Values in clinical units; NaN = not observed.

    Returns:
        D = 8 M columns, in the order of SUMMARIES: the mean; the standard deviation
        (population); the covariance with the hour, the hour as a share of the window; the mean
        over the last quarter of the window, or the last value if that quarter has none; the last
        value; the minimum; the maximum; the number of observed hours. NaN for all but the number
        if nothing was observed.
    """
    parts = [_summaries(grid[i : i + CHUNK]) for i in range(0, len(grid), CHUNK)]
    return np.concatenate(parts)


def _summaries(grid: np.ndarray) -> np.ndarray:
    """As `summaries`, of all stays at once."""
    grid = np.asarray(grid, np.float64)
    hours = grid.shape[1]
    hour = np.arange(hours)[:, None]
    seen = np.isfinite(grid)
    count = seen.sum(axis=1)
    minimum = np.where(seen, grid, np.inf).min(axis=1)
    maximum = np.where(seen, grid, -np.inf).max(axis=1)
    # Above the minimum, so that equal values have a deviation and a trend of exactly 0.
    above = np.where(seen, grid - minimum[:, None], 0)
    late = seen & (hour >= hours - hours // 4)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, as it should be
        share = seen / count[:, None]
        recent = minimum + (late * above).sum(axis=1) / late.sum(axis=1)
    mean = (share * above).sum(axis=1)
    deviation = np.sqrt((share * (above - mean[:, None]) ** 2).sum(axis=1))
    centred = (hour - (share * hour).sum(axis=1)[:, None]) / hours
    trend = (share * centred * above).sum(axis=1)
    final = hours - 1 - seen[:, ::-1].argmax(axis=1)
    last = np.take_along_axis(grid, final[:, None], axis=1)[:, 0]
    parts = [
        minimum + mean,
        deviation,
        trend,
        np.where(late.any(axis=1), recent, last),
        last,
        np.where(count > 0, minimum, np.nan),
        np.where(count > 0, maximum, np.nan),
        count,
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def with_statics(
    x: Float32[np.ndarray, "N D"],
    stays: pd.DataFrame,
    learn: Bool[np.ndarray, " N"],
    static_inputs: Sequence[str],
) -> Float32[np.ndarray, "N columns"]:
    """Join the summaries and the static inputs.

    Args:
        x: Summaries.
        stays: Rows of schemas.COHORT.
        learn: The training stays. The static inputs are fitted on them alone.
        static_inputs: `model.static_inputs` of params.yaml.

    Returns:
        D summaries, followed by S static inputs.
    """
    return np.concatenate([x, fit_statics(stays[learn], static_inputs).apply(stays)], axis=1)
