"""Supports: sets of cells that flip a prediction when each is at an end of its box.

At an end of its box, a cell gains the most margin. `grow` adds cells until the prediction flips.
`exchange` makes the support smaller. `l0` begins here, and `l1` begins again here.

The linear programme for the convex envelope of L0 (weights 1 / headroom) ranks the cells by
gradient x headroom. `grow` adds only a part of its solution before it looks at the network again.
"""

import math
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
    no_example,
    rows_at_once,
)


class Samples(NamedTuple):
    """The samples of an attack and the bounds of their perturbations.

    Attributes:
        logits_fn: The network.
        x: (B, T, C).
        y: The class to leave, (B,).
        low: The lower bounds of P, (B, cells), cells = T * M.
        high: The upper bounds of P, (B, cells).
        shape: (T, M).
    """

    logits_fn: Logits
    x: Tensor
    y: Tensor
    low: Tensor
    high: Tensor
    shape: tuple[int, int]

    def of(self, rows: Tensor, cap: float = math.inf) -> "Samples":
        """Take the samples `rows`, int64 (n,), and let no cell move further than `cap`."""
        low, high = (bound[rows].clamp(-cap, cap) for bound in (self.low, self.high))
        return Samples(self.logits_fn, self.x[rows], self.y[rows], low, high, self.shape)


def grow(samples: Samples, iterations: int, share: Tensor) -> Example:
    """Add the cells of largest gradient x headroom, each at its end, until the prediction flips.

    Args:
        samples: The samples.
        iterations: Passes per sample, at most.
        share: The share of the cells which the linear model asks for that is added at once, (B,).

    Returns:
        An example of each sample that was flipped.
    """
    logits_fn, x, y, low, high, shape = samples
    example = no_example(low.view(-1, *shape))
    support = torch.zeros_like(low)
    iteration = torch.zeros_like(example.iteration)
    alive = torch.ones_like(y, dtype=torch.bool)
    while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
        # look, and keep the example
        P = support[rows]
        margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P.view(-1, *shape))
        flips = flipping(margin, P)
        keep(example, P, iteration[rows], rows, flips)

        # how many cells the linear model asks for
        end, gain = gain_of(gradient.flatten(1), low[rows], high[rows], P == 0)
        largest, cell = gain.sort(1, descending=True)
        needed = (largest.cumsum(1) < margin[:, None]).sum(1) + 1

        # add a part of them
        number = (share[rows] * needed).ceil()[:, None]
        entering = torch.arange(cell.shape[1], device=y.device) < number
        added = torch.where(entering & (largest > 0), end.gather(1, cell), P.gather(1, cell))
        support[rows] = P.scatter(1, cell, added)

        alive[rows] = (
            ~flips & (largest[:, 0] > 0) & (margin >= FLIP_MARGIN) & (iteration[rows] < iterations)
        )
        iteration[rows] += 1
    return example


def gain_of(gradient: Tensor, low: Tensor, high: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Find the end of each cell that lowers the margin, and by how much it does to first order.

    Args:
        gradient: The gradient of the margin, (n, cells).
        low: The lower bounds of P, (n, cells).
        high: The upper bounds of P, (n, cells).
        free: The cells that may be added, bool (n, cells). The others gain 0.

    Returns:
        The ends and the gains, (n, cells) each.
    """
    end = torch.where(gradient < 0, high, low)
    return end, torch.where(free, -gradient * end, 0).clamp(min=0)
