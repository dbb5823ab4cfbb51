"""The entry for users of a PyTorch network outside this pipeline."""

from typing import Any

import torch
from torch import Tensor, nn

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.api import Result, device_of
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.core.errors import InputError


def find_examples(
    network: nn.Module,
    x: Tensor,
    y: Tensor | None = None,
    *,
    method: str = "l1",
    lower: float | Tensor = 0.0,
    upper: float | Tensor = 1.0,
    iterations: int = 200,
    **settings: Any,
) -> Result:
    """Search for the smallest change of each sample that flips the prediction of a network.

    Args:
        network: float32 (B, T, C) → logits (B, 2), each sample independent of the others. The
            attack uses a copy in evaluation mode.
        x: The samples, float32 (B, T, C): T time steps with C values each. No NaN.
        y: The class to leave, int64 (B,), 0 or 1. None: the class that the network predicts.
        method: l1 (smallest sum of changes), l0 (fewest changed cells), prior or sun.
        lower: The lowest value that a cell may take, a number or a tensor that broadcasts to x.
            Where lower = upper = x, a cell does not change.
        upper: The highest value that a cell may take.
        iterations: Passes through the network per sample and start of the search, at most.
        settings: Further arguments of the method, for example `restarts=0` for a faster l1.

    Returns:
        The first and the best example of each sample. The perturbation of a sample is zero and its
        iteration is -1 where no example was found.

    Raises:
        InputError: An argument has a wrong shape or type, or a value is not allowed.
    """
    copy = for_attack(network)
    x = torch.as_tensor(x, device=device_of(copy)).detach()
    if method not in METHODS:
        raise InputError(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    if x.ndim != 3 or x.dtype != torch.float32:
        raise InputError(f"x is {_kind(x)}, expected float32 (samples, time steps, values)")
    box = [_broadcast(name, bound, x) for name, bound in (("lower", lower), ("upper", upper))]
    if not ((box[0] <= x) & (x <= box[1])).all():
        raise InputError("x has values that are NaN or outside lower and upper")
    logits = _logits(copy, x)
    if logits.shape != (len(x), 2):
        raise InputError(
            f"the network returns {_kind(logits)} for {len(x)} samples, expected logits "
            f"({len(x)}, 2)"
        )
    y = logits.argmax(1) if y is None else torch.as_tensor(y, device=x.device)
    if y.shape != (len(x),) or y.dtype != torch.int64 or not ((y == 0) | (y == 1)).all():
        raise InputError(f"y is {_kind(y)}, expected int64 ({len(x)},) with values 0 and 1")
    lower, upper = box
    return METHODS[method](copy, x, y, lower=lower, upper=upper, iterations=iterations, **settings)


def _broadcast(name: str, bound: float | Tensor, x: Tensor) -> Tensor:
    """One side of the box in the shape of x."""
    bound = torch.as_tensor(bound, dtype=x.dtype, device=x.device)
    try:
        return bound.expand(x.shape).contiguous()
    except RuntimeError:
        raise InputError(
            f"{name} is {_kind(bound)}, expected a number or a tensor that broadcasts to "
            f"{tuple(x.shape)}"
        ) from None


def _logits(network: nn.Module, x: Tensor) -> Tensor:
    """What the network returns for x. Raises InputError where it cannot read x."""
    try:
        with torch.no_grad():
            return network(x)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the network cannot read x, {_kind(x)}: {reason}") from error


def _kind(tensor: Tensor) -> str:
    """The type and the shape of a tensor in words."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
