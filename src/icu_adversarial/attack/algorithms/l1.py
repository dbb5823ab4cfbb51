"""The smallest L1 norm that flips a prediction: a sequence of linear programmes, each solved exactly, every sample for itself.

Where a proximal or penalty method needs a weight of the norm, the linear programme finds it per sample and per step: it is the price of the last
cell. The trust region is that of sequential linear programming (Fletcher and Sainz de la Maza 1989, Mathematical Programming 43:235-256).
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.curvature import Memory, curved_step
from icu_adversarial.attack.algorithms.supports import Samples, exchange, grow
from icu_adversarial.attack.api import (
    FLIP_MARGIN,
    Example,
    Logits,
    Result,
    flipping,
    keep,
    margin_and_gradient,
    margins,
    no_example,
    rows_at_once,
    without_dust,
)

KAPPA = 2e-5  # how far behind the linearised boundary to aim, at least
NEAR = 0.02  # share of the first margin below which the aim moves back by half of what is missing
SMALLEST_RADIUS = 1e-4
PENALTY = 2.5  # a margin above zero counts this many times its price, in the merit of a point
IMPROVEMENT = 1e-3  # smallest relative decrease worth another pass
UNFLIPPED = 3  # a sample that has no example yet is given this many times the patience
# Where a sample begins anew: shares of its best P, of every other cell and of the rest; and the radius of the first trust region there.
STARTS = (
    (0.0, 0.0, 0.1),
    (0.5, 0.5, 0.1),
    (1.0, 0.0, 0.1),
    (0.0, 1.0, 0.1),
    (0.0, 0.0, 0.3),
    (1.0, 1.0, 0.1),
    (0.0, 0.0, 0.03),
)
LONGEST_START = 1 / 3  # of several: share of the passes that one may take
BEYOND = (
    10,
    0.3,
    0.03,
)  # the start beyond the boundary: steps, how far the steepest cell goes in each, radius of the first trust region
# The starts at supports: how far a cell may move there, the share that is added at once, radius of the first trust region.
SUPPORTS = ((0.25, 0.34, 0.1), (1.0, 0.34, 0.3), (0.25, 1.0, 0.3), (0.5, 0.34, 0.3))
CANDIDATES, EXCHANGES = (
    32,
    2,
)  # tried there per exchange of cells; exchanges without progress before it ends
SHARE = 0.34  # of `supports.grow`, for a sample that is not flipped otherwise
VISIBLE = 1e-3  # a smaller change of a cell is dropped where the prediction stays flipped,
STRETCH = 1.005  # if need be with the other cells moved so much further


class State(NamedTuple):
    """Where the search of each sample stands; cells are flat, (B, cells), all else is (B,)."""

    P: Tensor  # where the next pass looks
    predicted: Tensor  # the margin that the linear programme expects there; inf at a start
    before: Tensor  # the margin where it was set up
    radius: Tensor  # of the trust region
    kappa: Tensor
    price: Tensor  # L1 norm per unit of margin
    best_l1: Tensor
    first_margin: Tensor
    lowest_l1: Tensor  # of the point of lowest merit, with its margin
    lowest_margin: Tensor
    stalled: Tensor  # passes without progress
    restarts: Tensor
    since: Tensor  # passes since the last start
    iteration: Tensor


def l1(
    logits_fn: Logits,
    x: Tensor,
    y: Tensor,
    *,
    lower: Tensor,
    upper: Tensor,
    iterations: int,
    cap: float = 1.0,
    radius: float = 1.0,
    patience: int = 4,
    restarts: int = len(STARTS),
    supports: int = len(SUPPORTS),
    start: Tensor | None = None,
    growth: bool = True,
) -> Result:
    """Minimise sum|P| subject to Z_y - Z_t < FLIP_MARGIN at x + P; see attack/problem.py for the arguments that all attacks share.

    cap: no cell moves further. radius: of the first trust region, in model input units. patience: passes without progress before a start ends.
    There may be a better optimum elsewhere. restarts: how often a sample begins anew, from 0 to 7 (STARTS); if at all, it begins once more beyond the
    boundary, where other cells are steep than at P = 0. supports: how often it begins once more at a sparse example of supports.py, from 0 to 4.
    start: (B, T, M), where to begin instead of at P = 0. growth: whether a sample that is not flipped begins once more, at an example of
    `supports.grow`. `best` has the smallest L1 norm, or one larger by less than STRETCH - 1 without cells below VISIBLE.
    """
    low, high = (
        (bound - x[..., : lower.shape[2]]).flatten(1).clamp(-cap, cap) for bound in (lower, upper)
    )
    samples = Samples(logits_fn, x, y, low, high, (lower.shape[1], lower.shape[2]))
    descend = partial(_descend, iterations=iterations, patience=patience)
    result, steps = descend(
        samples, torch.zeros_like(low) if start is None else start.flatten(1), radius, restarts
    )

    def once_more(rows: Tensor, at: Example, radius: float) -> None:
        there = at.iteration >= 0
        rows, steps_there = rows[there], steps[rows[there]] + at.iteration[there]
        found, more = descend(
            samples.of(rows), at.perturbation[there].flatten(1), radius, restarts=0
        )
        steps[rows] = steps_there + more
        smaller = found.best.perturbation.abs().sum((1, 2)) < result.best.perturbation[
            rows
        ].abs().sum((1, 2))
        for example, new, better in zip(
            result, found, (torch.zeros_like(smaller), smaller), strict=True
        ):
            keep(
                example,
                new.perturbation,
                steps_there + new.iteration,
                rows,
                (new.iteration >= 0) & (better | (example.iteration[rows] < 0)),
            )

    if growth and len(rows := (result.best.iteration < 0).nonzero()[:, 0]):
        once_more(
            rows, grow(samples.of(rows), iterations, torch.full_like(low[rows, 0], SHARE)), radius
        )
    rows = (result.best.iteration >= 0).nonzero()[:, 0]
    if restarts and len(rows):
        once_more(rows, _beyond(samples.of(rows)), BEYOND[2])
    for limit, share, near in SUPPORTS[:supports]:
        part = samples.of(rows, limit)
        sparse = grow(part, iterations, torch.full_like(low[rows, 0], share))
        exchange(part, sparse, iterations, CANDIDATES, EXCHANGES)
        once_more(rows, sparse, near)
    _drop_invisible(samples, result.best)
    return result


def _descend(
    samples: Samples, start: Tensor, radius: float, restarts: int, *, iterations: int, patience: int
) -> tuple[Result, Tensor]:
    """The sequence of linear programmes from `start`, (B, cells), then `restarts` times anew. Arguments as of `l1`. Returns the steps too, (B,)."""
    logits_fn, x, y, low, high, shape = samples
    first, best = no_example(low.view(-1, *shape)), no_example(low.view(-1, *shape))
    state = _begin(start, radius)
    memory, starts = (
        Memory.empty(low),
        low.new_tensor([*STARTS, (0.0, 0.0, 0.0)]),
    )  # the last row: of samples that are through
    longest = (
        max(iterations * LONGEST_START, 2) if restarts else iterations + 1
    )  # where it begins, and one step
    alive = torch.ones_like(y, dtype=torch.bool)
    while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
        s = State(*(tensor[rows] for tensor in state))
        margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], s.P.view(-1, *shape))
        gradient = gradient.flatten(1)

        norm = s.P.abs().sum(1)
        flips = flipping(margin, s.P)
        better = flips & (norm < s.best_l1)
        keep(first, s.P, s.iteration, rows, flips & (first.iteration[rows] < 0))
        keep(best, s.P, s.iteration, rows, better)

        s, progress = _judge(s, margin, norm, flips)
        s = s._replace(
            best_l1=torch.where(better, norm, s.best_l1),
            stalled=torch.where(progress, 0, s.stalled + 1),
        )
        Q, predicted, price = curved_step(
            s.P, margin, gradient, memory, rows, low[rows], high[rows], s.kappa, s.radius
        )
        memory.remember(rows, s.P, gradient)
        s = s._replace(
            P=without_dust(Q),
            predicted=predicted,
            before=margin,
            price=price,
            since=s.since + 1,
            iteration=s.iteration + 1,
        )

        converged = better & (s.P.abs().sum(1) > norm * (1 - IMPROVEMENT))
        ended = converged | (
            s.stalled >= torch.where(s.best_l1.isfinite(), patience, UNFLIPPED * patience)
        )
        ended |= s.since >= longest
        again = ended & (s.restarts < restarts) & s.best_l1.isfinite()
        if restarts:
            s = _restart(s, again, best.perturbation[rows].flatten(1), starts)
            memory.number[rows[again]] = 0
            ended &= ~again
        wrong_from_start = (margin < FLIP_MARGIN) & (norm == 0)
        alive[rows] = ~ended & (s.iteration <= iterations) & ~wrong_from_start & margin.isfinite()
        for whole, part in zip(state, s, strict=True):
            whole[rows] = part
    return Result(first, best), state.iteration


def _begin(P: Tensor, radius: float) -> State:
    number, count = P.new_zeros(len(P)), torch.zeros(len(P), dtype=torch.int32, device=P.device)
    infinite = torch.full_like(number, torch.inf)
    return State(
        P.clone(),
        predicted=infinite.clone(),
        before=number.clone(),
        radius=torch.full_like(number, radius),
        kappa=torch.full_like(number, KAPPA),
        price=torch.ones_like(number),
        best_l1=infinite.clone(),
        first_margin=number.clone(),
        lowest_l1=infinite.clone(),
        lowest_margin=infinite.clone(),
        stalled=count.clone(),
        restarts=count.clone(),
        since=count.clone(),
        iteration=count.clone(),
    )


def _judge(s: State, margin: Tensor, norm: Tensor, flips: Tensor) -> tuple[State, Tensor]:
    """Adapt radius, kappa and lowest merit to what the last step brought; which samples made progress, bool (n,)."""
    started = s.iteration > 0
    error = (margin - s.predicted).abs() / (s.before - s.predicted).abs().clamp(
        min=1e-6
    )  # NaN at a start: no comparison holds
    factor = torch.where(error > 0.5, 0.6, torch.where(error < 0.2, 1.5, 1.0))
    radius = (s.radius * factor).clamp(SMALLEST_RADIUS, 1)
    first_margin = torch.where(started, s.first_margin, margin)
    missing = torch.where(margin < NEAR * first_margin, margin / 2, 0)
    kappa = torch.where(
        margin < FLIP_MARGIN,
        s.kappa / 2,
        torch.where(started, torch.maximum(s.kappa * 2, missing), s.kappa),
    ).clamp(KAPPA, 1)

    penalty = PENALTY * s.price
    merit, lowest = (
        norm + penalty * margin.clamp(min=0),
        s.lowest_l1 + penalty * s.lowest_margin.clamp(min=0),
    )
    lower = merit < lowest * (1 - IMPROVEMENT)
    s = s._replace(
        radius=radius,
        kappa=kappa,
        first_margin=first_margin,
        lowest_l1=torch.where(lower, norm, s.lowest_l1),
        lowest_margin=torch.where(lower, margin, s.lowest_margin),
    )
    return s, lower | (flips & (norm < s.best_l1 * (1 - IMPROVEMENT)))


def _restart(s: State, again: Tensor, best: Tensor, starts: Tensor) -> State:
    """Those of `again` look next at shares of their best P, (n, cells), with nothing expected there and no merit to beat. starts: rows of STARTS."""
    start = starts[s.restarts.long()]
    odd = (best != 0).cumsum(1) % 2 == 1
    P = without_dust(torch.where(odd, start[:, :1], start[:, 1:2]) * best)
    return s._replace(
        restarts=s.restarts + again.int(),
        since=torch.where(again, 0, s.since),
        P=torch.where(again[:, None], P, s.P),
        predicted=torch.where(again, torch.inf, s.predicted),
        radius=torch.where(again, start[:, 2], s.radius),
        kappa=torch.where(again, KAPPA, s.kappa),
        lowest_l1=torch.where(again, torch.inf, s.lowest_l1),
        stalled=torch.where(again, 0, s.stalled),
    )


def _beyond(samples: Samples) -> Example:
    """Points well beyond the boundary, whether or not they flip: some steps down the gradient from P = 0, each cell in proportion to its own."""
    logits_fn, x, y, low, high, shape = samples
    steps, length, _ = BEYOND
    P = torch.zeros_like(low)
    for rows in torch.split(torch.arange(len(y), device=y.device), rows_at_once(x)):
        for _ in range(steps):
            _, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P[rows].view(-1, *shape))
            gradient = gradient.flatten(1)
            steepest = gradient.abs().amax(1, keepdim=True).clamp(min=torch.finfo(P.dtype).tiny)
            P[rows] = (P[rows] - length * gradient / steepest).clamp(low[rows], high[rows])
    return Example(P.view(-1, *shape), torch.full_like(y, steps, dtype=torch.int32))


def _drop_invisible(samples: Samples, best: Example) -> None:
    """Zero the cells below VISIBLE (the last one of a linear programme is filled in part), where an example remains; else move them twice as far as
    VISIBLE, where that adds little to the norm."""
    logits_fn, x, y, low, high, _ = samples
    for instead, stretch in ((0.0, 1.0), (0.0, STRETCH), (2 * VISIBLE, 1.0)):
        P = torch.where(
            best.perturbation.abs() < VISIBLE, instead * best.perturbation.sign(), best.perturbation
        )
        rows = (best.perturbation != P).flatten(1).any(1).nonzero()[:, 0]
        Q = (stretch * P[rows].flatten(1)).clamp(low[rows], high[rows]).view_as(P[rows])
        values = x[rows][..., : P.shape[2]] + Q
        little = Q.flatten(1).abs().sum(1) <= STRETCH * best.perturbation[rows].flatten(
            1
        ).abs().sum(1)
        keep(
            best,
            Q,
            best.iteration[rows],
            rows,
            little & flipping(margins(logits_fn, x[rows], y[rows], values), Q),
        )
