"""The fewest cells that flip a prediction: grow a support, exchange and drop its cells, then make what is left as small as possible.

In the first two parts every cell of the support is at an end of its box, where it gains the most margin. The linear programme for the convex
envelope of L0 (weights 1 / headroom) ranks cells by gradient x headroom; `growth.grow` adds only a part of its solution before it looks again.
"""

from functools import partial

import torch
from torch import Tensor

from icu_adversarial.attack.growth import LONGEST, Samples, gain_of, grow
from icu_adversarial.attack.l1 import l1
from icu_adversarial.attack.problem import Example, Logits, Result, flipping, keep, margin_and_gradient, margins, rows_at_once
from icu_adversarial.attack.quality import FLIP_MARGIN

NEIGHBOURS = 32  # cells that an exchange considers, of those to leave and of those to enter
HOPELESS = 10  # a sample ends where this many exchanges like the most promising one would not flip it, linearly


def l0(
    logits_fn: Logits,
    x: Tensor,
    y: Tensor,
    *,
    lower: Tensor,
    upper: Tensor,
    iterations: int,
    cap: float = 1.0,
    share: float = 0.34,
    candidates: int = 32,
    patience: int = 2,
    starts: int = 3,
) -> Result:
    """Minimise the number of cells with P != 0, then sum|P| on these cells; see attack/problem.py for the arguments that all attacks share.

    cap: no cell moves further. share: of the cells that the linearisation asks for, how many are added at once. candidates: supports tried per
    exchange, in one forward pass. patience: exchanges that do not lower the margin before a start ends, and passes of the last part without progress.
    starts: supports grown and exchanged, with shares from `share` to 1. `best` has the fewest cells of all.
    A sample that cannot be flipped by cells at their ends starts from the example of `l1`.
    """
    T, M = lower.shape[1:]
    low, high = ((bound - x[..., :M]).flatten(1).clamp(-cap, cap) for bound in (lower, upper))
    B = len(y)
    every = Samples(logits_fn, x.repeat(starts, 1, 1), y.repeat(starts), low.repeat(starts, 1), high.repeat(starts, 1), (T, M))  # start by start
    grown = grow(every, iterations, torch.linspace(share, 1, starts, device=x.device).repeat_interleave(B))
    first = _rows(grown, slice(0, B))
    failed = (first.iteration < 0).nonzero()[:, 0]
    dense = l1(logits_fn, x[failed], y[failed], lower=lower[failed], upper=upper[failed], iterations=iterations, cap=cap, growth=False)
    for example, new in ((first, dense.first), (grown, dense.best)):
        keep(example, new.perturbation, new.iteration, failed, new.iteration >= 0)

    _exchange(every, grown, iterations, candidates, patience)
    best, everyone = _rows(grown, slice(0, B)), torch.arange(B, device=y.device)
    for number in range(1, starts):
        other = _rows(grown, slice(number * B, (number + 1) * B))
        _keep_sparser(best, other.perturbation.flatten(1), everyone, other.iteration >= 0, other.iteration)

    found = (best.iteration >= 0).nonzero()[:, 0]
    P, values = best.perturbation[found], x[found][..., :M]
    down_to, up_to = (torch.where(P != 0, bound[found], values) for bound in (lower, upper))
    refit = partial(l1, logits_fn, x[found], y[found], lower=down_to, upper=up_to)
    smaller = refit(iterations=iterations, cap=cap, patience=patience, restarts=0, start=P, growth=False).best
    steps = best.iteration[found] + smaller.iteration
    keep(best, smaller.perturbation, steps, found, smaller.iteration >= 0)
    return Result(first, best)


def _rows(example: Example, which: slice) -> Example:
    """A copy of some samples' examples."""
    return Example(example.perturbation[which].clone(), example.iteration[which].clone())


def _exchange(samples: Samples, best: Example, iterations: int, candidates: int, patience: int) -> None:
    """Make the supports in `best` smaller, as long as the prediction stays flipped.

    From a support that flips, the cells that linearly are not needed leave, at least one. From one that does not flip any more, one cell leaves and
    another one enters. Either way the most promising `candidates` by linear prediction are tried, and the lowest margin wins.
    """
    logits_fn, x, y, low, high, shape = samples
    found = best.perturbation.flatten(1)
    now = torch.where(found > 0, high, torch.where(found < 0, low, 0))  # an example of l1 may lie between the ends
    steps, started = torch.zeros_like(best.iteration), best.iteration.clone()
    stalled, most = torch.zeros_like(y), torch.full_like(y, LONGEST)
    lowest = torch.full_like(low[:, 0], torch.inf)
    alive = best.iteration >= 0
    while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
        P = now[rows]
        margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P.view(-1, *shape))
        flips = flipping(margin, P)
        _keep_sparser(best, P, rows, flips, started[rows] + steps[rows])
        base, dropped = _drop(P, margin, gradient.flatten(1), flips, most[rows])
        end, gain = gain_of(gradient.flatten(1), low[rows], high[rows], base == 0)
        tried, change = _candidates(base, gradient.flatten(1), end, gain, flips, candidates)
        again = rows.repeat_interleave(tried.shape[1])
        values = x[again][..., : shape[1]] + tried.view(-1, *shape)
        tried_margin = margins(logits_fn, x[again], y[again], values).view(tried.shape[:2])
        lowest_margin, choice = torch.where(change.isfinite(), tried_margin, torch.inf).min(1)
        Q = tried[torch.arange(len(rows), device=y.device), choice]

        hit = lowest_margin < FLIP_MARGIN
        steps[rows] += 1
        _keep_sparser(best, Q, rows, hit & Q.any(1), started[rows] + steps[rows])
        too_many = flips & ~hit & (dropped > 1)
        most[rows] = torch.where(too_many, dropped // 2, most[rows])
        down = ~hit & ~too_many & (flips | (lowest_margin < lowest[rows]))
        lowest[rows] = torch.where(hit, torch.inf, torch.where(down, lowest_margin, lowest[rows]))
        stalled[rows] = torch.where(hit | down | too_many, 0, stalled[rows] + 1)
        now[rows] = torch.where(too_many[:, None], P, Q)
        hopeless = ~hit & ~flips & (margin + HOPELESS * change[:, 0] > 0)
        single = (best.perturbation[rows] != 0).flatten(1).sum(1) == 1
        alive[rows] = (stalled[rows] < patience) & lowest_margin.isfinite() & ~hopeless & ~single & (steps[rows] < iterations)


def _drop(P: Tensor, margin: Tensor, gradient: Tensor, flips: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """Set to zero as many cells of a support that flips as it can do without linearly, from 1 to `most`. Returns P and the numbers, (n,)."""
    loss, cell = torch.where(P != 0, -gradient * P, torch.inf).topk(min(LONGEST, P.shape[1]), 1, largest=False)
    spare = (margin[:, None] + loss.cumsum(1) < FLIP_MARGIN).cumprod(1).sum(1)
    dropped = torch.where(flips, torch.minimum(spare.clamp(min=1), torch.minimum(most, (P != 0).sum(1) - 1)), 0)
    leaving = torch.arange(cell.shape[1], device=P.device) < dropped[:, None]
    return P.scatter(1, cell, torch.where(leaving, 0, P.gather(1, cell))), dropped


def _candidates(base: Tensor, gradient: Tensor, end: Tensor, gain: Tensor, flips: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The `number` most promising supports of the size of `base`, (n, number, cells), and what they add to its margin linearly, (n, number), rising;
    inf for what is none. Either `base` itself, where it is new (`flips`), or with one cell exchanged for another.
    """
    neighbours = min(NEIGHBOURS, base.shape[1])
    loss, leaving = torch.where(base != 0, -gradient * base, torch.inf).topk(neighbours, 1, largest=False)
    won, entering = torch.where(gain > 0, gain, -torch.inf).topk(neighbours, 1)
    change = (loss[:, :, None] - won[:, None, :]).flatten(1)
    unchanged = torch.where(flips, 0, torch.inf)[:, None]
    change, choice = torch.cat([unchanged, change], 1).topk(min(number, 1 + neighbours**2), 1, largest=False)
    pair = (choice - 1).clamp(min=0)
    leaving, entering = leaving.gather(1, pair // neighbours)[..., None], entering.gather(1, pair % neighbours)[..., None]
    tried, exchanged = base[:, None].repeat(1, choice.shape[1], 1), (choice > 0)[..., None]
    tried.scatter_(2, leaving, torch.where(exchanged, 0, tried.gather(2, leaving)))
    tried.scatter_(2, entering, torch.where(exchanged, end[:, None].expand_as(tried).gather(2, entering), tried.gather(2, entering)))
    return tried, change


def _keep_sparser(best: Example, P: Tensor, rows: Tensor, flips: Tensor, iteration: Tensor) -> None:
    """Keep P where it flips with fewer cells than the best, if there is one."""
    fewer = (P != 0).sum(1) < (best.perturbation[rows] != 0).flatten(1).sum(1)
    keep(best, P, iteration, rows, flips & (fewer | (best.iteration[rows] < 0)))
