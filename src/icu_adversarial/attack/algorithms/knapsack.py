"""The step of the sequential linear programme: the smallest L1 norm that crosses the linearised boundary, exactly."""

from typing import NamedTuple

import torch
from torch import Tensor

REACH = 0.7  # share of what the linearisation can reach, where it cannot reach the boundary
TOP = 32  # cells sorted at first; a full sort takes five times as long, and is rarely needed


class Step(NamedTuple):
    """P: (n, cells). predicted: the margin there if the model were linear, (n,). price: L1 norm per unit of margin for the last cell, (n,)."""

    P: Tensor
    predicted: Tensor
    price: Tensor


def step(
    P: Tensor,
    margin: Tensor,
    gradient: Tensor,
    low: Tensor,
    high: Tensor,
    kappa: Tensor,
    radius: Tensor,
) -> Step:
    """Minimise sum|Q| subject to margin + gradient . (Q - P) <= -kappa, low <= Q <= high and the trust region around P; returns Q.

    P, gradient, low, high: (n, cells) with low <= 0 <= high and low <= P <= high. margin, kappa, radius: (n,).
    A fractional knapsack: every cell starts where it is cheapest, those that gain the most margin per unit go to their bound first, the last one
    in part. Where all bounds together do not reach the boundary, go REACH of the way. A row's result depends on this row alone.
    """
    radius = radius[:, None]
    low, high = torch.maximum(low, P - radius), torch.minimum(high, P + radius)
    start, end = torch.zeros_like(P).clamp(low, high), torch.where(gradient < 0, high, low)
    gain = gradient * (start - end)
    need = margin + kappa + (gradient * (start - P)).sum(1)
    reachable = gain.sum(1)
    need = torch.where(need > reachable, REACH * reachable, need)

    Q, price, left = _filled(start, end, gain, gradient, need, min(TOP, P.shape[1]))
    if len(rows := left.nonzero()[:, 0]):
        Q[rows], price[rows], _ = _filled(
            start[rows], end[rows], gain[rows], gradient[rows], need[rows], P.shape[1]
        )
    return Step(Q, margin + (gradient * (Q - P)).sum(1), price)


def _filled(
    start: Tensor, end: Tensor, gain: Tensor, gradient: Tensor, need: Tensor, cells: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`step` with the best `cells` cells, which gain `gain` at their ends: Q, price, and in which rows these are too few."""
    rate, order = torch.where(gain > 0, gradient.abs(), 0).topk(cells, 1)
    gain = gain.gather(1, order)
    total = gain.cumsum(1)
    share = ((need[:, None] - (total - gain)) / gain.clamp(min=1e-30)).clamp(0, 1)
    first = start.gather(1, order)
    Q = start.scatter(1, order, first + share * (end.gather(1, order) - first))
    last = ((share > 0).sum(1) - 1).clamp(min=0)
    return Q, 1 / rate.gather(1, last[:, None])[:, 0].clamp(min=1e-9), total[:, -1] < need
