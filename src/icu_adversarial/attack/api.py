"""What all attacks share: the margin and its gradient, and what an example is.

An attack is a function f(logits_fn, x, y, *, lower, upper, iterations, ...) -> Result.

- logits_fn: (B, T, C) -> logits Z (B, 2), without randomness, each sample independent of the
  others. Use a network from `oracle.for_attack`. On a GPU, cuDNN refuses the backward pass of other
  networks in evaluation mode.
- x: the samples, float (B, T, C), no NaN.
- y: the class to leave, int64 (B,), 0 or 1. The other class is t.
- lower, upper: the box of the first M <= C channels at x + P, (B, T, M). The other channels never
  change, and neither does a cell with lower = upper = x.
- iterations: steps per sample and part of the attack, at most. Each step is one pass for the margin
  and its gradient. The look at the start is a pass too.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn

Logits = Callable[[Tensor], Tensor]
# The directions of an attack, by the class that it leaves.
DIRECTIONS = ("0→1", "1→0")
# A cell is perturbed where |P| is larger, in model input units.
NONZERO = 1e-6
# A flip counts when its margin Z_y - Z_t is below this value: rounding on other hardware, about
# 1e-6, does not undo it.
FLIP_MARGIN = -1e-5
# The number of rows of a pass is a multiple of LANES. So a row has the same bits at any place in
# any batch. With 32 rows and AVX2, the gradient of nn.LSTM has other bits, so 48 are taken.
LANES, NO_BATCH = 16, 32
# Samples of a pass, at most, on a CPU and on a GPU. The next sample takes the place of one that is
# done.
ROWS, GPU_ROWS = 128, 4096


class Example(NamedTuple):
    """One example per sample.

    Attributes:
        perturbation: P, (B, T, M); zero where no example was found.
        iteration: The number of steps until then, int32 (B,); -1 where no example was found. The
            steps of all starts that came before are included.
    """

    perturbation: Tensor
    iteration: Tensor


class Result(NamedTuple):
    """The result of an attack.

    Attributes:
        first: The first example of each sample.
        best: The best example of each sample, in the sense of the attack.
    """

    first: Example
    best: Example


def device_of(model: Logits) -> torch.device:
    """The device of the weights of a model; the CPU for a function without weights."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if weight is None else weight.device


def rows_at_once(x: Tensor) -> int:
    """How many samples go into one pass on the device of x."""
    return GPU_ROWS if x.is_cuda else ROWS


def no_example(box: Tensor) -> Example:
    """Make the examples of samples that have none yet. box: `lower` or `upper`, (B, T, M)."""
    return Example(torch.zeros_like(box), torch.full_like(box[:, 0, 0], -1, dtype=torch.int32))


def keep(example: Example, P: Tensor, iteration: Tensor | int, rows: Tensor, which: Tensor) -> None:
    """Store new examples of some samples.

    Args:
        example: The examples of all samples; it is changed.
        P: The perturbations of the samples `rows`, (n, T, M) or (n, T * M).
        iteration: The steps until then, (n,) or one number.
        rows: The samples, int64 (n,).
        which: Which of them to store, bool (n,).
    """
    example.perturbation[rows[which]] = P[which].view(-1, *example.perturbation.shape[1:])
    example.iteration[rows[which]] = (
        iteration[which].int() if isinstance(iteration, Tensor) else iteration
    )


def flipping(margin: Tensor, P: Tensor) -> Tensor:
    """Which samples are examples, bool (n,).

    A sample that is classified as the other class without a perturbation is no example.

    Args:
        margin: The margin at x + P, (n,).
        P: The perturbations, (n, ...).
    """
    return (margin < FLIP_MARGIN) & (P != 0).flatten(1).any(1)


def zero_small(P: Tensor) -> Tensor:
    """Set the cells of P that do not count as perturbed to exactly zero."""
    return torch.where(P.abs() > NONZERO, P, 0)


def margin_and_gradient(
    logits_fn: Logits, x: Tensor, y: Tensor, P: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the margin Z_y - Z_t at x + P and its gradient by P.

    Args:
        logits_fn: The network.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        P: The perturbation of the first M channels, (B, T, M).

    Returns:
        The margin, (B,), and the gradient, (B, T, M).
    """
    n, M = len(y), P.shape[2]
    x, y, P = _filled_up(x, y, P)
    values = (x[..., :M] + P).requires_grad_()
    with torch.enable_grad(), _float32():
        margin = _margin(logits_fn, x, y, values)
        (gradient,) = torch.autograd.grad(margin.sum(), values)
    return margin.detach()[:n], gradient[:n]


@torch.no_grad()
def margins(logits_fn: Logits, x: Tensor, y: Tensor, values: Tensor) -> Tensor:
    """Compute the margin Z_y - Z_t, (B,), with other values in the first M channels.

    Args:
        logits_fn: The network.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        values: The values of the first M channels, (B, T, M).
    """
    if not len(y):
        return x.new_zeros(0)
    parts = zip(*(torch.split(tensor, rows_at_once(x)) for tensor in (x, y, values)), strict=True)
    return torch.cat([_margin(logits_fn, *_filled_up(*part))[: len(part[1])] for part in parts])


def _margin(logits_fn: Logits, x: Tensor, y: Tensor, values: Tensor) -> Tensor:
    """`margins` for samples that fit into one pass."""
    with _float32():
        Z = logits_fn(torch.cat([values, x[..., values.shape[2] :]], 2))
    difference = Z[:, 0] - Z[:, 1]
    return torch.where(y == 0, difference, -difference)


def _float32() -> AbstractContextManager[None]:
    """Make cuDNN compute in float32.

    By default it rounds to 10 bits, about 1e-3. A flip is decided by a margin of 1e-5.
    """
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _filled_up(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Repeat the rows of each tensor until a pass with them has the same bits in any batch."""
    n = len(tensors[0])
    rows = -(-n // LANES) * LANES
    if rows == NO_BATCH:
        rows += LANES
    if rows == n:
        return tensors
    repeated = torch.arange(rows, device=tensors[0].device) % n
    return tuple(tensor[repeated] for tensor in tensors)
