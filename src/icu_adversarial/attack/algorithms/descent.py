"""The descent of `l1`: one linear programme after the other, from a given start.

Each pass of the network gives the margin and its gradient at one point per sample. The next point
is the smallest perturbation that crosses the boundary of the model of the margin, within a trust
region (sequential linear programming: Fletcher and Sainz de la Maza 1989, Mathematical Programming
43:235-256). Each sample is searched independently of the others in its batch.
"""

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.curvature import Memory, curved_step
from icu_adversarial.attack.algorithms.progress import Progress, begin, has_ended, judge, restart
from icu_adversarial.attack.algorithms.settings import L1Settings
from icu_adversarial.attack.algorithms.supports import Samples
from icu_adversarial.attack.api import (
    FLIP_MARGIN,
    Result,
    flipping,
    keep,
    margin_and_gradient,
    no_example,
    rows_at_once,
    zero_small,
)


def descend(
    samples: Samples,
    start: Tensor,
    radius: float,
    restarts: int,
    *,
    iterations: int,
    patience: int,
    settings: L1Settings,
) -> tuple[Result, Tensor]:
    """Search for small examples from one start, then from parts of the best example.

    Args:
        samples: The samples and their boxes.
        start: The first perturbation, (B, cells).
        radius: The first trust region, in model input units.
        restarts: How often a sample begins again, at `settings.starts`.
        iterations: Passes per sample, at most, of all starts together.
        patience: Passes without progress after which a start ends.
        settings: The constants.

    Returns:
        The first and the best example of each sample, and its number of passes, int32 (B,).
    """
    logits_fn, x, y, low, high, shape = samples
    first, best = no_example(low.view(-1, *shape)), no_example(low.view(-1, *shape))
    progress = begin(start, radius, settings)
    memory = Memory.empty(low, settings.step.points)
    # The last row is for samples that have no start left.
    starts = low.new_tensor([*settings.starts, (0.0, 0.0, 0.0)])
    # Two passes are the start and one step.
    longest = max(iterations * settings.longest_start, 2) if restarts else iterations + 1
    alive = torch.ones_like(y, dtype=torch.bool)
    while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
        now = Progress(*(tensor[rows] for tensor in progress))

        # look
        margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], now.P.view(-1, *shape))
        gradient = gradient.flatten(1)
        norm = now.P.abs().sum(1)
        flips = flipping(margin, now.P)

        # keep first and best
        better = flips & (norm < now.best_l1)
        keep(first, now.P, now.iteration, rows, flips & (first.iteration[rows] < 0))
        keep(best, now.P, now.iteration, rows, better)

        # judge the last step
        now, improved = judge(now, margin, norm, flips, settings)
        now = now._replace(
            best_l1=torch.where(better, norm, now.best_l1),
            stalled=torch.where(improved, 0, now.stalled + 1),
        )

        # step within the box and the trust region
        Q, predicted, price = curved_step(
            now.P,
            margin,
            gradient,
            memory,
            rows,
            low[rows],
            high[rows],
            now.kappa,
            now.radius,
            settings.step,
        )
        memory.remember(rows, now.P, gradient)
        now = now._replace(
            P=zero_small(Q),
            predicted=predicted,
            before=margin,
            price=price,
            since=now.since + 1,
            iteration=now.iteration + 1,
        )

        # end, or begin again
        ended = has_ended(now, norm, better, patience, settings) | (now.since >= longest)
        if restarts:
            again = ended & (now.restarts < restarts) & now.best_l1.isfinite()
            now = restart(now, again, best.perturbation[rows].flatten(1), starts, settings)
            memory.number[rows[again]] = 0
            ended &= ~again
        wrong_from_start = (margin < FLIP_MARGIN) & (norm == 0)
        alive[rows] = ~ended & (now.iteration <= iterations) & ~wrong_from_start & margin.isfinite()
        for whole, part in zip(progress, now, strict=True):
            whole[rows] = part
    return Result(first, best), progress.iteration
