"""The step of `l1` where the margin is curved: several linear programmes on a quadratic model.

The gradients at past points show how the gradient changes between these points. This change is the
curvature of the model, along these directions alone. It needs no further pass of the network (a
secant update, as Broyden 1965, Mathematics of Computation 19:577-593, from several points at once).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.knapsack import Step, step
from icu_adversarial.attack.algorithms.settings import StepSettings


class Memory(NamedTuple):
    """The last points of each sample, in rings.

    Attributes:
        points: Perturbations, (B, points, cells).
        gradients: The gradients of the margin there, (B, points, cells).
        number: How many points a sample has seen, int64 (B,).
    """

    points: Tensor
    gradients: Tensor
    number: Tensor

    @classmethod
    def empty(cls, P: Tensor, points: int) -> "Memory":
        """Make a memory of `points` points for the samples of P, (B, cells)."""
        ring = P.new_zeros(len(P), points, P.shape[1])
        return cls(ring, ring.clone(), torch.zeros(len(P), dtype=torch.int64, device=P.device))

    @property
    def size(self) -> int:
        """The number of points that are remembered."""
        return self.points.shape[1]

    def remember(self, rows: Tensor, P: Tensor, gradient: Tensor) -> None:
        """Add a point to the samples `rows`, int64 (n,). P, gradient: (n, cells)."""
        place = self.number[rows] % self.size
        self.points[rows, place], self.gradients[rows, place] = P, gradient
        self.number[rows] += 1


def curved_step(
    P: Tensor,
    margin: Tensor,
    gradient: Tensor,
    memory: Memory,
    rows: Tensor,
    low: Tensor,
    high: Tensor,
    kappa: Tensor,
    radius: Tensor,
    settings: StepSettings,
) -> Step:
    """Minimise sum|Q| as `knapsack.step` does, on the quadratic model of the margin.

    Args:
        P: The present perturbation, (n, cells).
        margin: The margin there, (n,).
        gradient: Its gradient, (n, cells).
        memory: The past points of all samples.
        rows: The samples of the n rows, int64 (n,).
        low: The lower bounds of Q, (n, cells).
        high: The upper bounds of Q, (n, cells).
        kappa: The distance behind the boundary to aim at, in logits, (n,).
        radius: The trust region, in model input units, (n,).
        settings: The constants.

    Returns:
        The solution Q, the margin that the quadratic model predicts there, and the price.
    """
    # only some cells may move: the changed ones, then those with the largest gradient
    rate, headroom, perturbed = gradient.abs(), torch.where(gradient < 0, high - P, P - low), P != 0
    promising = torch.where(perturbed, torch.inf, rate * (headroom > 0))
    cell = promising.topk(min(settings.cells, P.shape[1]), 1).indices
    of_each = (
        P,
        margin,
        gradient,
        torch.maximum(low, P - radius[:, None]),
        torch.minimum(high, P + radius[:, None]),
        kappa,
        radius,
    )
    result = _programmes(cell, memory, rows, *of_each, settings=settings)

    # all cells may move where these are too few
    too_few = (perturbed.sum(1) >= settings.cells) | (
        (rate * headroom).gather(1, cell).sum(1) < margin + kappa
    )
    if len(more := (too_few & (P.shape[1] > settings.cells)).nonzero()[:, 0]):
        every = torch.arange(P.shape[1], device=P.device).expand(len(more), -1)
        part = [tensor[more] for tensor in of_each]
        dense = _programmes(every, memory, rows[more], *part, settings=settings)
        for whole, new in zip(result, dense, strict=True):
            whole[more] = new
    return result


def _programmes(
    cell: Tensor,
    memory: Memory,
    rows: Tensor,
    P: Tensor,
    margin: Tensor,
    gradient: Tensor,
    low: Tensor,
    high: Tensor,
    kappa: Tensor,
    radius: Tensor,
    *,
    settings: StepSettings,
) -> Step:
    """Solve `curved_step` where only the cells `cell`, int64 (n, k), may move.

    Each linear programme uses the margin and the gradient that the quadratic model has at the
    solution of the one before.
    """
    Q, first, down_to, up_to = (tensor.gather(1, cell) for tensor in (P, gradient, low, high))
    expected, slope = margin, first
    start, curvature = Q, _curvature(Q, first, memory, rows, cell, settings)
    for _ in range(settings.programmes):
        Q, _, price = step(Q, expected, slope, down_to, up_to, kappa, radius, settings.reach)
        move = Q - start
        change = sum(
            (move * direction).sum(1, keepdim=True) * change for direction, change in curvature
        )
        expected, slope = margin + ((first + change / 2) * move).sum(1), first + change
        radius = settings.shrink * radius
    return Step(P.scatter(1, cell, Q), expected, price)


def _curvature(
    P: Tensor,
    gradient: Tensor,
    memory: Memory,
    rows: Tensor,
    cell: Tensor,
    settings: StepSettings,
) -> list[tuple[Tensor, Tensor]]:
    """Estimate how the gradient changes with a move from P, on the cells `cell`, int64 (n, k).

    The directions are the moves from P to the past points, made orthogonal (Gram and Schmidt), of
    length 1, the latest first.

    Args:
        P: The present perturbation, (n, k).
        gradient: The gradient there, (n, k).
        memory: The past points of all samples.
        rows: The samples of the n rows, int64 (n,).
        cell: The cells, int64 (n, k).
        settings: The constants.

    Returns:
        Pairs (direction, change), (n, k) each. A move d changes the gradient by the sum of
        (d . direction) change over the pairs.
    """
    pairs: list[tuple[Tensor, Tensor]] = []
    for age in range(memory.size):
        place = (memory.number[rows] - 1 - age) % memory.size
        known, where = memory.number[rows] > age, (rows[:, None], place[:, None], cell)
        move, change = memory.points[where] - P, memory.gradients[where] - gradient
        square = move.square().sum(1)
        for direction, other in pairs:
            share = (move * direction).sum(1, keepdim=True)
            move, change = move - share * direction, change - share * other
        left = move.square().sum(1)
        new = known & (left > settings.independent * square)
        length = torch.where(new, left.sqrt(), torch.inf)[:, None]
        pairs.append((move / length, change / length))
    return pairs
