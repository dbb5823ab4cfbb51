"""The step of the sequential linear programme where the margin bends: a few programmes on a quadratic model of it, which costs no pass.

The gradients of the last passes tell how the gradient changes between the points they were taken at; that change is the model's curvature, along
these directions alone (a secant update, as Broyden 1965, Mathematics of Computation 19:577-593, from several points at once).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.knapsack import Step, step

LAST = 4  # points remembered
CELLS = 128  # those that may move: perturbed ones first, and the next ones by gradient; all, where these are too few
PROGRAMMES = 5  # per step,
SHRINK = 0.5  # each with a trust region so much smaller than the one before
INDEPENDENT = 1e-4  # share of a move's square that must be new, beside those to later points, for its point to tell more than noise


class Memory(NamedTuple):
    """points, gradients: (B, LAST, cells), rings of each sample's last points and the margin's gradients there. number: (B,), how many."""

    points: Tensor
    gradients: Tensor
    number: Tensor

    @classmethod
    def empty(cls, P: Tensor) -> "Memory":
        ring = P.new_zeros(len(P), LAST, P.shape[1])
        return cls(ring, ring.clone(), torch.zeros(len(P), dtype=torch.int64, device=P.device))

    def remember(self, rows: Tensor, P: Tensor, gradient: Tensor) -> None:
        """Of the samples `rows`, (n,), one point more. P, gradient: (n, cells)."""
        place = self.number[rows] % LAST
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
) -> Step:
    """As `knapsack.step`, with the margin that the quadratic model gives for the samples `rows` of the memory; `predicted` is that margin."""
    rate, headroom, perturbed = gradient.abs(), torch.where(gradient < 0, high - P, P - low), P != 0
    cell = (
        torch.where(perturbed, torch.inf, rate * (headroom > 0))
        .topk(min(CELLS, P.shape[1]), 1)
        .indices
    )
    of_each = (
        P,
        margin,
        gradient,
        torch.maximum(low, P - radius[:, None]),
        torch.minimum(high, P + radius[:, None]),
        kappa,
        radius,
    )
    result = _programmes(cell, memory, rows, *of_each)
    too_few = (perturbed.sum(1) >= CELLS) | (
        (rate * headroom).gather(1, cell).sum(1) < margin + kappa
    )
    if len(more := (too_few & (P.shape[1] > CELLS)).nonzero()[:, 0]):
        every = torch.arange(P.shape[1], device=P.device).expand(len(more), -1)
        for whole, part in zip(
            result,
            _programmes(every, memory, rows[more], *(tensor[more] for tensor in of_each)),
            strict=True,
        ):
            whole[more] = part
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
) -> Step:
    """`curved_step` where the cells `cell`, int64 (n, k), may move and no other."""
    Q, first, down_to, up_to = (tensor.gather(1, cell) for tensor in (P, gradient, low, high))
    expected, slope = margin, first
    start, curvature = Q, _curvature(Q, first, memory, rows, cell)
    for _ in range(PROGRAMMES):
        Q, _, price = step(Q, expected, slope, down_to, up_to, kappa, radius)
        move = Q - start
        change = sum(
            (move * direction).sum(1, keepdim=True) * change for direction, change in curvature
        )
        expected, slope = margin + ((first + change / 2) * move).sum(1), first + change
        radius = SHRINK * radius
    return Step(P.scatter(1, cell, Q), expected, price)


def _curvature(
    P: Tensor, gradient: Tensor, memory: Memory, rows: Tensor, cell: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Pairs (direction, change), (n, k) each: a move d from P on the cells `cell`, (n, k), changes the gradient by the sum of (d . direction) change.

    The directions are the moves from P to the remembered points, made orthogonal (Gram and Schmidt) and of length 1, the latest first.
    """
    pairs: list[tuple[Tensor, Tensor]] = []
    for age in range(LAST):
        known, place = memory.number[rows] > age, (memory.number[rows] - 1 - age) % LAST
        where = rows[:, None], place[:, None], cell
        move, change = memory.points[where] - P, memory.gradients[where] - gradient
        square = move.square().sum(1)
        for direction, other in pairs:
            share = (move * direction).sum(1, keepdim=True)
            move, change = move - share * direction, change - share * other
        left = move.square().sum(1)
        length = torch.where(known & (left > INDEPENDENT * square), left.sqrt(), torch.inf)[:, None]
        pairs.append((move / length, change / length))
    return pairs
