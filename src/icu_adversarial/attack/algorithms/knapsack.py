"""The linear programme of a step: the smallest L1 norm that crosses the linear boundary."""

from typing import NamedTuple

import torch
from torch import Tensor


class Step(NamedTuple):
    """The result of a step.

    Attributes:
        P: The new perturbation, (n, cells).
        predicted: The margin that the model expects there, (n,).
        price: L1 norm per unit of margin of the last cell that was filled, (n,).
    """

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
    reach: float = 1.0,
) -> Step:
    """Minimise sum|Q| so that margin + gradient . (Q - P) <= -kappa, |Q - P| <= radius, in the box.

    It is a fractional knapsack. Every cell starts at its smallest allowed change. The cells that
    gain the most margin per unit of change go to their bound first, and the last one goes only as
    far as needed. Where all cells together do not reach the boundary, the step goes
    `reach` of the way. The result of a row depends on this row alone.

    Args:
        P: The present perturbation, (n, cells).
        margin: The margin there, (n,).
        gradient: Its gradient, (n, cells).
        low: The lower bounds of Q, (n, cells), with low <= 0 and low <= P.
        high: The upper bounds of Q, (n, cells), with high >= 0 and high >= P.
        kappa: The distance behind the boundary to aim at, in logits, (n,).
        radius: The trust region, in model input units, (n,).
        reach: Share of the reachable decrease of the margin, where the boundary is out of reach.

    Returns:
        The solution Q, its predicted margin and its price.
    """
    radius = radius[:, None]
    low, high = torch.maximum(low, P - radius), torch.minimum(high, P + radius)

    # how much margin each cell can gain
    start, end = torch.zeros_like(P).clamp(low, high), torch.where(gradient < 0, high, low)
    gain = gradient * (start - end)
    need = margin + kappa + (gradient * (start - P)).sum(1)
    reachable = gain.sum(1)
    need = torch.where(need > reachable, reach * reachable, need)

    # fill the cells in the order of their gain per unit of change
    rate, order = torch.where(gain > 0, gradient.abs(), 0).sort(1, descending=True)
    gain = gain.gather(1, order)
    before = gain.cumsum(1) - gain
    share = ((need[:, None] - before) / gain.clamp(min=1e-30)).clamp(0, 1)
    first = start.gather(1, order)
    Q = start.scatter(1, order, first + share * (end.gather(1, order) - first))

    # the price is that of the last cell
    last = ((share > 0).sum(1) - 1).clamp(min=0)
    price = 1 / rate.gather(1, last[:, None])[:, 0].clamp(min=1e-9)
    return Step(Q, margin + (gradient * (Q - P)).sum(1), price)
