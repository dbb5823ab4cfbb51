"""Events → hourly grid, and its gaps filled along time. Vectorised over stays; values in clinical units."""

import numpy as np

from icu_adversarial.measurements import M


def grid_from_events(stay: np.ndarray, hour: np.ndarray, measurement: np.ndarray, value: np.ndarray, stays: int, window_hours: int) -> np.ndarray:
    """Mean of the values of each (stay, hour bin, measurement) cell; bin h covers [h, h + 1).

    stay: (E,) row 0..stays-1; hour: (E,) in [0, window_hours); measurement: (E,) column 0..18; value: (E,) clinical units.
    Returns float32 (stays, window_hours, 19), NaN where a cell has no event. Raises ValueError for an event outside the window.
    """
    if len(hour) and not (hour.min() >= 0 and hour.max() < window_hours):
        raise ValueError(f"an event lies outside the window [0, {window_hours}) h")
    cells = stays * window_hours * M
    cell = (stay.astype(np.int64) * window_hours + hour.astype(np.int64)) * M + measurement
    count = np.bincount(cell, minlength=cells)
    total = np.bincount(cell, weights=value, minlength=cells)  # float64, in the events' order
    with np.errstate(invalid="ignore"):
        mean = total / count
    return mean.astype(np.float32).reshape(stays, window_hours, M)


def fill_gaps(grid: np.ndarray, interpolation: str, limit_direction: str) -> np.ndarray:
    """Fill each stay's unobserved hours from its own observed ones.

    grid: float32 (N, T, 19), NaN = not observed. Between two observed hours: `linear`, or `previous` (the earlier one's value). Before the first
    (limit_direction both | backward) and after the last (both | forward): the nearest observed value. The rest stays NaN.
    """
    t = grid.shape[1]
    hours = np.arange(t, dtype=np.int32)[None, :, None]
    seen = np.isfinite(grid)
    before = np.maximum.accumulate(np.where(seen, hours, -1), axis=1)
    after = np.minimum.accumulate(np.where(seen, hours, t)[:, ::-1], axis=1)[:, ::-1]
    has_before, has_after = before >= 0, after < t
    left = np.take_along_axis(grid, np.maximum(before, 0), axis=1)
    right = np.take_along_axis(grid, np.minimum(after, t - 1), axis=1)
    if interpolation == "linear":
        gap = np.maximum(after - before, 1).astype(np.float32)
        between = left + (right - left) * ((hours - before) / gap)
    else:
        between = left
    filled = np.where(has_before & has_after, between, np.float32(np.nan))
    if limit_direction in ("both", "forward"):
        filled = np.where(has_before & ~has_after, left, filled)
    if limit_direction in ("both", "backward"):
        filled = np.where(~has_before & has_after, right, filled)
    return np.where(seen, grid, filled).astype(np.float32, copy=False)


def hours_since_observed(observed: np.ndarray) -> np.ndarray:
    """Hours since the last observed hour: 0 where observed, T where none came before. observed: bool (N, T, 19). Returns float32 of that shape."""
    t = observed.shape[1]
    hours = np.arange(t, dtype=np.int32)[None, :, None]
    before = np.maximum.accumulate(np.where(observed, hours, -1), axis=1)
    return np.where(before >= 0, hours - before, t).astype(np.float32)
