"""Edits of one value, what a model says to them, and how far several of them reach.

The shapes use N for stays, T for bins, M for measurements, E for recorded values, V for moves, K
for edits and S for the moves of an edit.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int

from icu_adversarial.records.recorded import Edits, Records, edited_grids

BATCH = 2000  # edits whose grids are made at a time
NONE = -1  # takes the place of a move


@runtime_checkable
class Asked(Protocol):
    """A model that is asked for the risk. An alarm is given at its threshold and above."""

    @property
    def name(self) -> str:
        """What the tables call the model."""

    @property
    def threshold(self) -> float:
        """The log odds from which on an alarm is given."""

    @property
    def log_odds(self) -> Callable[[np.ndarray, pd.DataFrame], np.ndarray]:
        """A function of a grid (n, T, M) and its n rows of schemas.COHORT: log odds of death."""


class Question(NamedTuple):
    """A model, and the stays about which it is asked.

    Attributes:
        model: The model.
        records: The recorded values of the stays.
        grid: The grid of the stays, NaN = not observed.
        stays: The rows of schemas.COHORT of the stays.
        rows: The rows of the stays that are asked about, ascending.
    """

    model: Asked
    records: Records
    grid: Float32[np.ndarray, "N T M"]
    stays: pd.DataFrame
    rows: Int[np.ndarray, " n"]

    def before(self) -> Float[np.ndarray, " n"]:
        """The log odds without an edit, of `rows`."""
        return self.model.log_odds(self.grid[self.rows], self.stays.iloc[self.rows])

    def after(self, edits: Edits) -> Float[np.ndarray, " K"]:
        """The log odds after each edit."""
        found = [np.empty(0)]
        for first in range(0, len(edits.stay), BATCH):
            part = edits.part(first, min(first + BATCH, len(edits.stay)))
            grid = edited_grids(self.records, self.grid, part)
            found.append(self.model.log_odds(grid, self.stays.iloc[part.stay]))
        return np.concatenate(found)

    def events(self) -> Int[np.ndarray, " E"]:
        """The recorded values of `rows`."""
        return np.flatnonzero(np.isin(self.records.stay, self.rows))


class Moves(NamedTuple):
    """Changes of one recorded value each.

    Attributes:
        event: Which value is changed: a row of Records.
        value: The new value in clinical units. NaN leaves the value out.
    """

    event: Int[np.ndarray, " V"]
    value: Float32[np.ndarray, " V"]


def edits_of(records: Records, moves: Moves, sets: Int[np.ndarray, "K S"]) -> Edits:
    """Make one edit of each set of moves.

    Args:
        records: The recorded values.
        moves: The moves.
        sets: The moves of each edit, all of one stay. At least one is not NONE.

    Returns:
        The edits.
    """
    number, _ = np.nonzero(sets >= 0)
    chosen = sets[sets >= 0]
    event = moves.event[chosen]
    stay = records.stay[moves.event[sets.max(1)]]
    return Edits(stay, number, event, records.hour[event], moves.value[chosen])


def reach(
    question: Question, moves: Moves, counts: tuple[int, ...], candidates: int
) -> Float[np.ndarray, "n 2 k"]:
    """Search the lowest and the highest log odds that a number of moves reaches.

    One move is found by trying all of them. For more, the best move is added to those before, and
    then each is exchanged for a better one. Both choose from the best single moves of the stay. So
    the result for several moves is what was found, and more may be possible. More moves never
    reach less.

    Args:
        question: The model and the stays.
        moves: The moves that are possible.
        counts: How many moves are allowed, ascending.
        candidates: How many of the best single moves of a stay are tried in each step.

    Returns:
        The lowest and the highest log odds of each stay for each of `counts`.
    """
    before = question.before()
    alone = question.after(edits_of(question.records, moves, np.arange(len(moves.event))[:, None]))
    found = np.empty((len(before), 2, len(counts)))
    for side, sign in enumerate((-1, 1)):
        pool = _pool(question, moves, sign * alone, candidates)
        best, chosen = sign * before, np.full((len(before), max(counts)), NONE)
        first = np.where(pool[:, 0] == NONE, -np.inf, sign * alone[pool[:, 0]])
        chosen[:, 0] = np.where(first > best, pool[:, 0], NONE)
        best = np.maximum(best, first)
        for count in range(1, max(counts) + 1):
            for slot in range(count - 1, -1, -1) if count > 1 else ():
                best, chosen = _improved(question, moves, sign, pool, best, chosen, slot)
            if count in counts:
                found[:, side, counts.index(count)] = sign * best
    return found


def _pool(question: Question, moves: Moves, score: np.ndarray, size: int) -> np.ndarray:
    """The best moves of each stay, the best first, one for each value; NONE where it has fewer."""
    order = np.lexsort((-score, moves.event))
    _, first = np.unique(moves.event[order], return_index=True)
    order = order[first]  # the best of each value
    row = np.searchsorted(question.rows, question.records.stay[moves.event[order]])
    ranked = np.lexsort((-score[order], row))
    row, order = row[ranked], order[ranked]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    pool = np.full((len(question.rows), size), NONE)
    pool[row[rank < size], rank[rank < size]] = order[rank < size]
    return pool


def _improved(
    question: Question,
    moves: Moves,
    sign: int,
    pool: np.ndarray,
    best: np.ndarray,
    chosen: np.ndarray,
    slot: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The best log odds and the moves after each of the pool was tried in a slot."""
    sets = np.repeat(chosen[:, None], pool.shape[1], 1)
    sets[..., slot] = pool
    event = np.where(sets == NONE, NONE, moves.event[sets])
    others = np.delete(event, slot, 2)
    usable = (pool != NONE) & ~(others == event[..., slot, None]).any(2)
    score = np.full(pool.shape, -np.inf)
    edits = edits_of(question.records, moves, sets[usable])
    score[usable] = sign * question.after(edits)
    winner, row = score.argmax(1), np.arange(len(pool))
    better: Bool[np.ndarray, " n"] = score[row, winner] > best
    found = np.where(better[:, None], sets[row, winner], chosen)
    return np.where(better, score[row, winner], best), found
