"""How far one, two or four edited values move the risk."""

import numpy as np
from jaxtyping import Float

from icu_adversarial.attack.record import fixed
from icu_adversarial.measurements import DICTIONARY
from icu_adversarial.stress.moves import Moves, Question

LIMITS = (1, 99)  # percentiles of the recorded values between which a value may move


def value_moves(question: Question, limits: Float[np.ndarray, "2 M"], values: int) -> Moves:
    """Move each recorded value to evenly spaced values between the limits of its measurement.

    Binary values, and sums with their parts, are not moved, as in an attack on the record.

    Args:
        question: The stays.
        limits: As from `limits_of`.
        values: The number of new values of each recorded value.

    Returns:
        The moves.
    """
    names = question.records.names
    events = question.events()
    events = events[~fixed(names)[question.records.measurement[events]]]
    new = np.linspace(limits[0], limits[1], values, axis=1).astype(np.float32)
    whole = np.array([DICTIONARY[name].kind == "integer" for name in names])
    new = np.where(whole[:, None], np.rint(new), new)
    return Moves(np.repeat(events, values), new[question.records.measurement[events]].reshape(-1))


def limits_of(grid: Float[np.ndarray, "N T M"]) -> Float[np.ndarray, "2 M"]:
    """The percentiles LIMITS of the observed cells of each measurement; 0 without values."""
    found = np.zeros((2, grid.shape[2]))
    for j in range(grid.shape[2]):
        seen = grid[..., j][np.isfinite(grid[..., j])]
        if len(seen):
            found[:, j] = np.percentile(seen, LIMITS)
    return found
