"""Whether values within the allowable error of their methods change a decision."""

import numpy as np
from jaxtyping import Float, Int

from icu_adversarial.attack.record import fixed
from icu_adversarial.measurements import DICTIONARY, Limits
from icu_adversarial.records.recorded import Edits
from icu_adversarial.stress.moves import Moves, Question, edits_of

TRIED = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # factors of the allowable error, ascending
PROBES = (1.0, 4.0)  # factors at which each value is moved alone, to find its direction
STEPS = 12  # halvings of the interval of a factor


def factors(question: Question) -> Float[np.ndarray, " n"]:
    """Search the smallest factor of the allowable errors at which the decision changes.

    All recorded values move at once, each by at most the factor times its own allowable error and
    within the limits of its measurement. The direction of a value is that in which it moves the
    risk towards the threshold if it moves alone. The result is exact for a model that is linear in
    the recorded values. For others it is an upper bound: a smaller factor may be enough.

    Args:
        question: The model and the stays.

    Returns:
        The factor of each stay; infinite if no factor up to the last of TRIED was found.
    """
    before = question.before()
    towards = np.where(before >= question.model.threshold, -1, 1)
    events = question.events()
    error, low, high = _errors(question, events)
    free = error > 0
    events, error, low, high = events[free], error[free], low[free], high[free]
    row = np.searchsorted(question.rows, question.records.stay[events])
    found = np.full(len(before), np.inf)
    value = question.records.value[events]

    def moved(direction: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """The new values."""
        return np.clip(value + direction * factor * error, low, high).astype(np.float32)

    def flips(direction: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Which stays have another decision at their factor."""
        chosen, own = np.unique(row, return_inverse=True)
        new, hour = moved(direction, factor[row]), question.records.hour[events]
        after = question.after(Edits(question.rows[chosen], own, events, hour, new))
        flipped = np.zeros(len(before), bool)
        flipped[chosen] = (after >= question.model.threshold) != (towards[chosen] < 0)
        return flipped

    one = np.ones(len(events))
    for probe in PROBES:
        alone = np.stack(
            [
                _alone(question, Moves(events, moved(sign * one, probe * one))) - before[row]
                for sign in (-1, 1)
            ]
        )
        gain = alone * towards[row]
        direction = np.where(gain.max(0) > 0, 2 * gain.argmax(0) - 1, 0)
        found = np.minimum(found, _smallest(lambda f, d=direction: flips(d, f), len(before)))
    return found


def _alone(question: Question, moves: Moves) -> np.ndarray:
    """The log odds after each move alone."""
    sets = np.arange(len(moves.event))[:, None]
    return question.after(edits_of(question.records, moves, sets))


def _smallest(flips, stays: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The smallest of TRIED that flips each stay, refined by halving the interval below it."""
    low, high = np.zeros(stays), np.full(stays, np.inf)
    for factor in TRIED:
        open_ = np.isinf(high)
        flipped = flips(np.full(stays, factor))
        high = np.where(open_ & flipped, factor, high)
        low = np.where(open_ & ~flipped, factor, low)
    for _ in range(STEPS):
        middle = np.where(np.isinf(high), 0, (low + high) / 2)
        flipped = flips(middle)
        low, high = np.where(flipped, low, middle), np.where(flipped, middle, high)
    return high


def _errors(
    question: Question, events: Int[np.ndarray, " E"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The allowable error and the lowest and highest possible value of each recorded value."""
    records = question.records
    column, value = records.measurement[events], records.value[events]
    error, low, high = np.zeros((3, len(events)), np.float32)
    bound = fixed(records.names)
    for j in np.unique(column):
        rows, m = column == j, DICTIONARY[records.names[j]]
        if not bound[j]:
            error[rows] = m.allowable_error(value[rows])
        low[rows], high[rows] = _ends(m.limits)
    return error, low, high


def _ends(limits: Limits) -> tuple[np.float32, np.float32]:
    """The lowest and the highest value within limits."""
    low, high = np.float32(limits.above), np.float32(limits.highest)
    up = np.nextafter(low, np.float32(np.inf))
    return up, high if limits.highest_counts else np.nextafter(high, low)
