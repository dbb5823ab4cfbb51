"""Supports whose cells, each at an end of its box, flip a prediction: grown, then exchanged and dropped cell by cell.

At an end of its box, a cell gains the most margin. The linear programme for the convex envelope of L0 (weights 1 / headroom) ranks cells by
gradient x headroom; `grow` adds only a part of its solution before it looks again. What `l0` begins with, and where `l1` begins once more.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from icu_adversarial.attack.api import (
    FLIP_MARGIN,
    Example,
    Logits,
    flipping,
    keep,
    margin_and_gradient,
    margins,
    no_example,
    rows_at_once,
)

LONGEST = 64  # cells added or dropped at once
NEIGHBOURS = 64  # cells that an exchange considers, of those to leave and of those to enter
HOPELESS = 10  # a sample ends where this many exchanges like the most promising one would not flip it, linearly


class Samples(NamedTuple):
    """x: (B, T, C). y: (B,). low, high: (B, cells), bounds of P."""

    logits_fn: Logits
    x: Tensor
    y: Tensor
    low: Tensor
    high: Tensor
    shape: tuple[int, int]  # (T, M), cells = T * M

    def of(self, rows: Tensor, cap: float = 1.0) -> "Samples":
        """The samples `rows`, int64 (n,), of which no cell moves further than `cap`."""
        low, high = (bound[rows].clamp(-cap, cap) for bound in (self.low, self.high))
        return Samples(self.logits_fn, self.x[rows], self.y[rows], low, high, self.shape)


def grow(samples: Samples, iterations: int, share: Tensor) -> Example:
    """Add the cells of largest gradient x headroom, each at its end, until the prediction flips.

    iterations: passes per sample, at most. share: (B,), of the cells that the linearisation asks for, how many are added at once.
    """
    logits_fn, x, y, low, high, shape = samples
    example = no_example(low.view(-1, *shape))
    support = torch.zeros_like(low)
    iteration = torch.zeros_like(example.iteration)
    alive = torch.ones_like(y, dtype=torch.bool)
    while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
        P = support[rows]
        margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P.view(-1, *shape))
        flips = flipping(margin, P)
        keep(example, P, iteration[rows], rows, flips)
        end, gain = gain_of(gradient.flatten(1), low[rows], high[rows], P == 0)
        largest, cell = gain.topk(min(LONGEST, gain.shape[1]), 1)
        needed = (largest.cumsum(1) < margin[:, None]).sum(1) + 1
        entering = (
            torch.arange(cell.shape[1], device=y.device) < (share[rows] * needed).ceil()[:, None]
        )
        support[rows] = P.scatter(
            1, cell, torch.where(entering & (largest > 0), end.gather(1, cell), P.gather(1, cell))
        )
        alive[rows] = (
            ~flips & (largest[:, 0] > 0) & (margin >= FLIP_MARGIN) & (iteration[rows] < iterations)
        )
        iteration[rows] += 1
    return example


def gain_of(gradient: Tensor, low: Tensor, high: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """The end of each cell that lowers the margin, and by how much it does to first order; 0 for cells that are not `free`. All (n, cells)."""
    end = torch.where(gradient < 0, high, low)
    return end, torch.where(free, -gradient * end, 0).clamp(min=0)


def exchange(
    samples: Samples, best: Example, iterations: int, candidates: int, patience: int
) -> None:
    """Make the supports in `best` smaller, as long as the prediction stays flipped.

    From a support that flips, the cells that linearly are not needed leave, at least one. From one that does not flip any more, one cell leaves and
    another one enters. Either way the most promising `candidates` by linear prediction are tried, in one forward pass, and the lowest margin wins.
    patience: exchanges that do not lower the margin before a sample ends.
    """
    logits_fn, x, y, low, high, shape = samples
    found = best.perturbation.flatten(1)
    now = torch.where(
        found > 0, high, torch.where(found < 0, low, 0)
    )  # an example of l1 may lie between the ends
    steps, started = torch.zeros_like(best.iteration), best.iteration.clone()
    stalled, most = torch.zeros_like(y), torch.full_like(y, LONGEST)
    lowest = torch.full_like(low[:, 0], torch.inf)
    alive = best.iteration >= 0
    while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
        P = now[rows]
        margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P.view(-1, *shape))
        flips = flipping(margin, P)
        keep_sparser(best, P, rows, flips, started[rows] + steps[rows])
        base, dropped = _drop(P, margin, gradient.flatten(1), flips, most[rows])
        end, gain = gain_of(gradient.flatten(1), low[rows], high[rows], base == 0)
        tried, change = _candidates(base, gradient.flatten(1), end, gain, flips, candidates)
        tried_margin = _margins_of_each(samples, rows, tried)
        lowest_margin, choice = torch.where(change.isfinite(), tried_margin, torch.inf).min(1)
        Q = tried[torch.arange(len(rows), device=y.device), choice]

        hit = lowest_margin < FLIP_MARGIN
        steps[rows] += 1
        keep_sparser(best, Q, rows, hit & Q.any(1), started[rows] + steps[rows])
        too_many = flips & ~hit & (dropped > 1)
        most[rows] = torch.where(too_many, dropped // 2, most[rows])
        down = ~hit & ~too_many & (flips | (lowest_margin < lowest[rows]))
        lowest[rows] = torch.where(hit, torch.inf, torch.where(down, lowest_margin, lowest[rows]))
        stalled[rows] = torch.where(hit | down | too_many, 0, stalled[rows] + 1)
        now[rows] = torch.where(too_many[:, None], P, Q)
        hopeless = ~hit & ~flips & (margin + HOPELESS * change[:, 0] > 0)
        single = (best.perturbation[rows] != 0).flatten(1).sum(1) == 1
        alive[rows] = (
            (stalled[rows] < patience)
            & lowest_margin.isfinite()
            & ~hopeless
            & ~single
            & (steps[rows] < iterations)
        )


def _margins_of_each(samples: Samples, rows: Tensor, tried: Tensor) -> Tensor:
    """The margins of several perturbations of each of the samples `rows`, (n, number). tried: (n, number, cells)."""
    logits_fn, x, y, _, _, shape = samples
    every = rows.repeat_interleave(tried.shape[1])
    parts = zip(
        *(torch.split(tensor, rows_at_once(x)) for tensor in (every, tried.view(-1, *shape))),
        strict=True,
    )  # not all inputs at once
    return torch.cat(
        [margins(logits_fn, x[part], y[part], x[part][..., : shape[1]] + P) for part, P in parts]
    ).view(tried.shape[:2])


def _drop(
    P: Tensor, margin: Tensor, gradient: Tensor, flips: Tensor, most: Tensor
) -> tuple[Tensor, Tensor]:
    """Set to zero as many cells of a support that flips as it can do without linearly, from 1 to `most`. Returns P and the numbers, (n,)."""
    loss, cell = torch.where(P != 0, -gradient * P, torch.inf).topk(
        min(LONGEST, P.shape[1]), 1, largest=False
    )
    spare = (margin[:, None] + loss.cumsum(1) < FLIP_MARGIN).cumprod(1).sum(1)
    dropped = torch.where(
        flips, torch.minimum(spare.clamp(min=1), torch.minimum(most, (P != 0).sum(1) - 1)), 0
    )
    leaving = torch.arange(cell.shape[1], device=P.device) < dropped[:, None]
    return P.scatter(1, cell, torch.where(leaving, 0, P.gather(1, cell))), dropped


def _candidates(
    base: Tensor, gradient: Tensor, end: Tensor, gain: Tensor, flips: Tensor, number: int
) -> tuple[Tensor, Tensor]:
    """The `number` most promising supports of the size of `base`, (n, number, cells), and what they add to its margin linearly, (n, number), rising;
    inf for what is none. Either `base` itself, where it is new (`flips`), or with one cell exchanged for another.
    """
    neighbours = min(NEIGHBOURS, base.shape[1])
    loss, leaving = torch.where(base != 0, -gradient * base, torch.inf).topk(
        neighbours, 1, largest=False
    )
    won, entering = torch.where(gain > 0, gain, -torch.inf).topk(neighbours, 1)
    change = (loss[:, :, None] - won[:, None, :]).flatten(1)
    unchanged = torch.where(flips, 0, torch.inf)[:, None]
    change, choice = torch.cat([unchanged, change], 1).topk(
        min(number, 1 + neighbours**2), 1, largest=False
    )
    pair = (choice - 1).clamp(min=0)
    leaving, entering = (
        leaving.gather(1, pair // neighbours)[..., None],
        entering.gather(1, pair % neighbours)[..., None],
    )
    tried, exchanged = base[:, None].repeat(1, choice.shape[1], 1), (choice > 0)[..., None]
    tried.scatter_(2, leaving, torch.where(exchanged, 0, tried.gather(2, leaving)))
    tried.scatter_(
        2,
        entering,
        torch.where(
            exchanged, end[:, None].expand_as(tried).gather(2, entering), tried.gather(2, entering)
        ),
    )
    return tried, change


def keep_sparser(best: Example, P: Tensor, rows: Tensor, flips: Tensor, iteration: Tensor) -> None:
    """Keep P where it flips with fewer cells than the best, if there is one."""
    fewer = (P != 0).sum(1) < (best.perturbation[rows] != 0).flatten(1).sum(1)
    keep(best, P, iteration, rows, flips & (fewer | (best.iteration[rows] < 0)))
