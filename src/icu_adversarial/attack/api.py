"""What all attacks of this folder share: the margin and its gradient, what an example is, and how many samples are worked on at once.

An attack is a function f(logits_fn, x, y, *, lower, upper, iterations, ...) -> Result:
logits_fn: (B, T, C) -> (B, 2), without randomness, each sample on its own; a network, best as `oracle.for_attack` makes it (on a GPU, cuDNN refuses
the backward pass of any other in evaluation mode). x: float (B, T, C). y: int64 (B,), the class to leave, 0 or 1.
lower, upper: (B, T, M), the box of the first M <= C channels at x + P; the others never move, nor does a cell with lower = upper = x.
iterations: steps at most, per sample and part of the attack; each is a pass for the margin and its gradient, and so is the look at where it begins.
No NaN in x.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn

Logits = Callable[[Tensor], Tensor]
DIRECTIONS = ("0→1", "1→0")  # by the class that the attack leaves
NONZERO = 1e-6  # a cell is perturbed when |P| is larger (model input units)
# A flip counts when its margin Z_y - Z_t is below this value: rounding on other hardware, about
# 1e-6, does not undo it.
FLIP_MARGIN = -1e-5
SMALLEST_BATCH = 16  # rows; from 16 on, a row of nn.LSTM has the same bits in any batch, below that other kernels are used
ROWS, GPU_ROWS = 128, 4096  # samples in one pass; a sample that is done makes room for the next one


class Example(NamedTuple):
    """perturbation: P, (B, T, M), zero where none was found. iteration: int32 (B,), steps until then of all starts made one after the other, so from
    1; -1 for none."""

    perturbation: Tensor
    iteration: Tensor


class Result(NamedTuple):
    """Per sample the first example, and the best one in the sense of the attack."""

    first: Example
    best: Example


def device_of(model: Logits) -> torch.device:
    """The device of the weights of a model; the CPU for a function without weights."""
    weight = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if weight is None else weight.device


def rows_at_once(x: Tensor) -> int:
    """How many samples go into one pass where x is."""
    return GPU_ROWS if x.is_cuda else ROWS


def no_example(box: Tensor) -> Example:
    """The example of samples that have none yet. box: (B, T, M), `lower` or `upper`."""
    return Example(torch.zeros_like(box), torch.full_like(box[:, 0, 0], -1, dtype=torch.int32))


def keep(example: Example, P: Tensor, iteration: Tensor | int, rows: Tensor, which: Tensor) -> None:
    """Overwrite those of the samples `rows` (int64 (n,)) for which `which` (bool (n,)) holds. P: (n, T, M) or (n, T * M)."""
    example.perturbation[rows[which]] = P[which].view(-1, *example.perturbation.shape[1:])
    example.iteration[rows[which]] = (
        iteration[which].int() if isinstance(iteration, Tensor) else iteration
    )


def flipping(margin: Tensor, P: Tensor) -> Tensor:
    """Which samples are examples: bool (n,). A sample that is wrong from the start is none."""
    return (margin < FLIP_MARGIN) & (P != 0).flatten(1).any(1)


def without_dust(P: Tensor) -> Tensor:
    """P with exact zeros where it does not count as perturbed."""
    return torch.where(P.abs() > NONZERO, P, 0)


def margin_and_gradient(
    logits_fn: Logits, x: Tensor, y: Tensor, P: Tensor
) -> tuple[Tensor, Tensor]:
    """Z_y - Z_t at x + P, (B,), and its gradient by P, (B, T, M). P: (B, T, M), added to the first M channels."""
    n, M = len(y), P.shape[2]
    x, y, P = _at_least_smallest_batch(x, y, P)
    values = (x[..., :M] + P).requires_grad_()
    with torch.enable_grad(), _float32():
        margin = _margin(logits_fn, x, y, values)
        (gradient,) = torch.autograd.grad(margin.sum(), values)
    return margin.detach()[:n], gradient[:n]


@torch.no_grad()
def margins(logits_fn: Logits, x: Tensor, y: Tensor, values: Tensor) -> Tensor:
    """Z_y - Z_t where `values`, (B, T, M), stand for the first M channels of x, (B,); `rows_at_once` at a time."""
    if not len(y):
        return x.new_zeros(0)
    parts = zip(*(torch.split(tensor, rows_at_once(x)) for tensor in (x, y, values)), strict=True)
    return torch.cat(
        [_margin(logits_fn, *_at_least_smallest_batch(*part))[: len(part[1])] for part in parts]
    )


def _margin(logits_fn: Logits, x: Tensor, y: Tensor, values: Tensor) -> Tensor:
    with _float32():
        Z = logits_fn(torch.cat([values, x[..., values.shape[2] :]], 2))
    difference = Z[:, 0] - Z[:, 1]
    return torch.where(y == 0, difference, -difference)


def _float32() -> AbstractContextManager[None]:
    """By default cuDNN rounds to 10 bits: 1e-3, where a flip is told by 1e-5."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _at_least_smallest_batch(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The same rows of each, repeated until they are SMALLEST_BATCH."""
    n = len(tensors[0])
    if n >= SMALLEST_BATCH or not n:
        return tensors
    rows = torch.arange(SMALLEST_BATCH, device=tensors[0].device) % n
    return tuple(tensor[rows] for tensor in tensors)
