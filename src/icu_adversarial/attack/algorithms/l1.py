"""The smallest sum of changes that flips a prediction: a descent from several starts.

The descent is in `descent`, its step in `curvature` and `knapsack`, the sparse examples in
`supports`. docs/attacks.md has the algorithm as pseudocode.
"""

from functools import partial

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.descent import descend
from icu_adversarial.attack.algorithms.exchange import exchange
from icu_adversarial.attack.algorithms.settings import L1Settings
from icu_adversarial.attack.algorithms.supports import Samples, grow
from icu_adversarial.attack.api import (
    Example,
    Logits,
    Result,
    flipping,
    keep,
    margin_and_gradient,
    margins,
    rows_at_once,
)

SETTINGS = L1Settings()


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
    restarts: int = len(SETTINGS.starts),
    supports: int = len(SETTINGS.sparse_starts),
    start: Tensor | None = None,
    growth: bool = True,
    settings: L1Settings = SETTINGS,
) -> Result:
    """Minimise sum|P| subject to Z_y - Z_t < FLIP_MARGIN at x + P.

    Args:
        logits_fn: The network; see `attack.api`.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        lower: The lowest allowed values, (B, T, M).
        upper: The highest allowed values, (B, T, M).
        iterations: Passes per sample and start, at most.
        cap: The largest change of a cell, in model input units.
        radius: The first trust region, in model input units.
        patience: Passes without progress after which a start ends.
        restarts: How often a sample begins again at a part of its best example, 0 to 7. If it is
            not 0, one more start is made beyond the boundary, where other cells have large
            gradients.
        supports: How often a sample begins again at a sparse example, 0 to 4.
        start: Where to begin instead of at P = 0, (B, T, M).
        growth: Whether a sample that is not flipped begins again at an example of `grow`.
        settings: The constants.

    Returns:
        The first and the best example. The best one has the smallest L1 norm. It may be larger by
        the share `settings.stretch` where this avoids cells below `settings.visible`.
    """
    low, high = (
        (bound - x[..., : lower.shape[2]]).flatten(1).clamp(-cap, cap) for bound in (lower, upper)
    )
    samples = Samples(logits_fn, x, y, low, high, (lower.shape[1], lower.shape[2]))
    search = partial(descend, iterations=iterations, patience=patience, settings=settings)
    begin = torch.zeros_like(low) if start is None else start.flatten(1)
    result, steps = search(samples, begin, radius, restarts)

    def begin_at(rows: Tensor, points: Example, radius: float) -> None:
        """Descend once more for the samples `rows`, and keep what is better."""
        there = points.iteration >= 0
        rows, steps_there = rows[there], steps[rows[there]] + points.iteration[there]
        part, P = samples.of(rows), points.perturbation[there].flatten(1)
        found, more = search(part, P, radius, restarts=0)
        steps[rows] = steps_there + more
        _merge(result, found, rows, steps_there)

    # a sample that is not flipped: begin at a support that flips it
    if growth and len(rows := (result.best.iteration < 0).nonzero()[:, 0]):
        share = torch.full_like(low[rows, 0], settings.growth)
        begin_at(rows, grow(samples.of(rows), iterations, share), radius)

    # begin beyond the boundary
    rows = (result.best.iteration >= 0).nonzero()[:, 0]
    if restarts and len(rows):
        begin_at(rows, _beyond(samples.of(rows), settings), settings.beyond_radius)

    # begin at sparse examples
    for limit, part_added, near in settings.sparse_starts[:supports]:
        part = samples.of(rows, limit)
        sparse = grow(part, iterations, torch.full_like(low[rows, 0], part_added))
        tried, patient = settings.sparse_candidates, settings.sparse_patience
        exchange(part, sparse, iterations, tried, patient)
        begin_at(rows, sparse, near)

    _drop_invisible(samples, result.best, settings)
    return result


def _merge(result: Result, found: Result, rows: Tensor, steps: Tensor) -> None:
    """Keep the smaller best examples of a further start, and all where there was none.

    Args:
        result: The examples of all samples; it is changed.
        found: The examples of the samples `rows`.
        rows: int64 (n,).
        steps: Passes before this start, (n,).
    """
    size, best_size = (
        example.perturbation.abs().sum((1, 2))
        for example in (found.best, Example(*(tensor[rows] for tensor in result.best)))
    )
    smaller = size < best_size
    for example, new, better in zip(
        result, found, (torch.zeros_like(smaller), smaller), strict=True
    ):
        which = (new.iteration >= 0) & (better | (example.iteration[rows] < 0))
        keep(example, new.perturbation, steps + new.iteration, rows, which)


def _beyond(samples: Samples, settings: L1Settings) -> Example:
    """Find points beyond the boundary, by gradient steps from P = 0.

    Each cell moves in proportion to its gradient. A point need not be an example.
    """
    logits_fn, x, y, low, high, shape = samples
    P = torch.zeros_like(low)
    for rows in torch.split(torch.arange(len(y), device=y.device), rows_at_once(x)):
        for _ in range(settings.beyond_steps):
            _, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P[rows].view(-1, *shape))
            gradient = gradient.flatten(1)
            steepest = gradient.abs().amax(1, keepdim=True).clamp(min=torch.finfo(P.dtype).tiny)
            moved = P[rows] - settings.beyond_length * gradient / steepest
            P[rows] = moved.clamp(low[rows], high[rows])
    steps = torch.full_like(y, settings.beyond_steps, dtype=torch.int32)
    return Example(P.view(-1, *shape), steps)


def _drop_invisible(samples: Samples, best: Example, settings: L1Settings) -> None:
    """Set the smallest changes of the best examples to zero where the prediction stays flipped.

    The last cell of a linear programme is filled in part, so its change may be very small. Three
    ways are tried: without these cells, the same with all other cells moved a little further, and
    with these cells moved by twice `settings.visible`.
    """
    logits_fn, x, y, low, high, _ = samples
    visible, stretch = settings.visible, 1 + settings.stretch
    for instead, factor in ((0.0, 1.0), (0.0, stretch), (2 * visible, 1.0)):
        P = best.perturbation
        P = torch.where(P.abs() < visible, instead * P.sign(), P)
        rows = (best.perturbation != P).flatten(1).any(1).nonzero()[:, 0]
        Q = (factor * P[rows].flatten(1)).clamp(low[rows], high[rows]).view_as(P[rows])
        norm = best.perturbation[rows].flatten(1).abs().sum(1)
        little = Q.flatten(1).abs().sum(1) <= stretch * norm
        margin = margins(logits_fn, x[rows], y[rows], x[rows][..., : P.shape[2]] + Q)
        keep(best, Q, best.iteration[rows], rows, little & flipping(margin, Q))
