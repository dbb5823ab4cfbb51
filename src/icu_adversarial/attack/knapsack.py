"""The step of the sequential linear programme: the smallest L1 norm that crosses the linearised boundary, exactly."""

from typing import NamedTuple

import torch
from torch import Tensor

REACH = 0.7  # share of what the linearisation can reach, where it cannot reach the boundary
TOP = 64  # cells sorted at first; a full sort takes five times as long, and is rarely needed


class Step(NamedTuple):
    """P: (n, cells). predicted: the margin there if the model were linear, (n,). price: L1 norm per unit of margin for the last cell, (n,)."""

    P: Tensor
    predicted: Tensor
    price: Tensor


def step(P: Tensor, margin: Tensor, gradient: Tensor, low: Tensor, high: Tensor, kappa: Tensor, radius: Tensor) -> Step:
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

    Q, price = start.clone(), torch.zeros_like(margin)
    rate = torch.where(gain > 0, gradient.abs(), 0)
    rows = torch.arange(len(P), device=P.device)
    for cells in (min(TOP, P.shape[1]), P.shape[1]):
        sorted_rate, order = rate[rows].topk(cells, 1)
        sorted_gain = gain[rows].gather(1, order)
        total = sorted_gain.cumsum(1)
        share = ((need[rows, None] - (total - sorted_gain)) / sorted_gain.clamp(min=1e-30)).clamp(0, 1)
        first = start[rows].gather(1, order)
        Q[rows] = start[rows].scatter(1, order, first + share * (end[rows].gather(1, order) - first))
        last = ((share > 0).sum(1) - 1).clamp(min=0)
        price[rows] = 1 / sorted_rate.gather(1, last[:, None])[:, 0].clamp(min=1e-9)
        rows = rows[total[:, -1] < need[rows]]
        if not len(rows):
            break
    return Step(Q, margin + (gradient * (Q - P)).sum(1), price)
