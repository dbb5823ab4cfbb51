"""Cells at the ends of their boxes, added until the prediction flips: the start of `l0`, and the last resort of `l1`."""

from typing import NamedTuple

import torch
from torch import Tensor

from icu_adversarial.attack.problem import Example, Logits, flipping, keep, margin_and_gradient, no_example, rows_at_once
from icu_adversarial.attack.quality import FLIP_MARGIN

LONGEST = 64  # cells added or dropped at once


class Samples(NamedTuple):
    """x: (B, T, C). y: (B,). low, high: (B, cells), bounds of P."""

    logits_fn: Logits
    x: Tensor
    y: Tensor
    low: Tensor
    high: Tensor
    shape: tuple[int, int]  # (T, M), cells = T * M


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
        entering = torch.arange(cell.shape[1], device=y.device) < (share[rows] * needed).ceil()[:, None]
        support[rows] = P.scatter(1, cell, torch.where(entering & (largest > 0), end.gather(1, cell), P.gather(1, cell)))
        alive[rows] = ~flips & (largest[:, 0] > 0) & (margin >= FLIP_MARGIN) & (iteration[rows] < iterations)
        iteration[rows] += 1
    return example


def gain_of(gradient: Tensor, low: Tensor, high: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """The end of each cell that lowers the margin, and by how much it does to first order; 0 for cells that are not `free`. All (n, cells)."""
    end = torch.where(gradient < 0, high, low)
    return end, torch.where(free, -gradient * end, 0).clamp(min=0)
