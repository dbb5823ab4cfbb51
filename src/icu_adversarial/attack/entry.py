"""The entry for users of a PyTorch network outside this pipeline."""

from typing import Any

import torch
from torch import Tensor, nn

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.allowed import check_settings
from icu_adversarial.attack.api import Result, device_of, margin_and_gradient, rows_at_once
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.core.errors import InputError


@torch.inference_mode(mode=False)  # a caller in inference mode wants an attack all the same
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
        settings: Further settings of the method, for example `restarts=0` for a faster l1. l1: cap,
            radius, patience, restarts, supports. l0: cap, share, candidates, patience, starts.
            prior: optimizer, learning_rate, kappa, penalty.

    Returns:
        The first and the best example of each sample. The perturbation of a sample is zero and its
        iteration is -1 where no example was found.

    Raises:
        InputError: An argument has a wrong shape or type, or a value is not allowed, or the network
            cannot be attacked. One line says what was found and what is expected.
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    check_settings(method, iterations, settings)
    copy = _copied(network)
    device = device_of(copy)
    x = _tensor("x", x, device).detach().clone()
    if x.ndim != 3 or x.dtype != torch.float32 or 0 in x.shape[1:]:
        raise InputError(f"x is {_kind(x)}, expected float32 (samples, time steps, values)")
    box = [_broadcast(name, bound, x) for name, bound in (("lower", lower), ("upper", upper))]
    if crossed := int((box[0] > box[1]).sum()):
        raise InputError(f"lower is above upper in {crossed} of {x.numel()} cells")
    if not ((box[0] <= x) & (x <= box[1])).all():
        raise InputError("x has values that are NaN or outside lower and upper")
    # A network that draws random numbers must not change those that the caller draws.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        logits = _logits(copy, x)
        y = logits.argmax(1) if y is None else _tensor("y", y, device)
        if y.shape != (len(x),) or y.dtype != torch.int64 or not ((y == 0) | (y == 1)).all():
            raise InputError(f"y is {_kind(y)}, expected int64 ({len(x)},) with values 0 and 1")
        _check_gradient(copy, x, y)
        options = {"lower": box[0], "upper": box[1], "iterations": iterations, **settings}
        return METHODS[method](copy, x, y, **options)


def _copied(network: Any) -> nn.Module:
    """The network as an attack needs it."""
    if not isinstance(network, nn.Module):
        raise InputError(f"network is a {type(network).__name__}, expected a torch.nn.Module")
    try:
        return for_attack(network)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"the network cannot be copied: {_reason(error)}") from error


def _tensor(name: str, value: Any, device: torch.device) -> Tensor:
    """An argument as a tensor."""
    try:
        return torch.as_tensor(value, device=device)
    except (RuntimeError, TypeError, ValueError):
        raise InputError(f"{name} is a {type(value).__name__}, expected a tensor") from None


def _broadcast(name: str, bound: float | Tensor, x: Tensor) -> Tensor:
    """One side of the box in the shape of x."""
    bound = _tensor(name, bound, x.device).to(x.dtype)
    if bound.isnan().any():
        raise InputError(f"{name} has NaN values, expected numbers")
    try:
        return bound.expand(x.shape).contiguous()
    except RuntimeError:
        raise InputError(
            f"{name} is {_kind(bound)}, expected a number or a tensor that broadcasts to "
            f"{tuple(x.shape)}"
        ) from None


def _logits(network: nn.Module, x: Tensor) -> Tensor:
    """The logits of all samples, (B, 2)."""
    parts = [_logits_of(network, part) for part in torch.split(x, rows_at_once(x))]
    logits = torch.cat(parts)
    if wrong := int((~logits.isfinite()).any(1).sum()):
        raise InputError(
            f"the network returns NaN or infinite logits for {wrong} of {len(x)} samples"
        )
    return logits


@torch.no_grad()
def _logits_of(network: nn.Module, x: Tensor) -> Tensor:
    """The logits of samples that fit into one pass."""
    expected = f"expected logits ({len(x)}, 2)"
    try:
        logits = network(x)
    except Exception as error:  # a network of a user may raise anything
        reason = f"the network cannot read x, {_kind(x)}: {_reason(error)}"
        raise InputError(reason) from error
    if not isinstance(logits, Tensor):
        raise InputError(f"the network returns a {type(logits).__name__}, {expected}")
    if logits.shape != (len(x), 2) or not logits.is_floating_point():
        raise InputError(f"the network returns {_kind(logits)} for {len(x)} samples, {expected}")
    return logits


def _check_gradient(network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Refuse a network without a gradient with respect to x, or whose gradient is no number."""
    wrong = 0
    for rows in torch.split(torch.arange(len(x), device=x.device), rows_at_once(x)):
        try:
            _, gradient = margin_and_gradient(network, x[rows], y[rows], torch.zeros_like(x[rows]))
        except RuntimeError as error:
            raise InputError(
                "the logits of the network have no gradient with respect to x: expected a network "
                f"of differentiable operations: {_reason(error)}"
            ) from error
        wrong += int((~gradient.isfinite()).flatten(1).any(1).sum())
    if wrong:
        raise InputError(
            f"the gradient of the network is NaN or infinite for {wrong} of {len(x)} samples"
        )


def _reason(error: Exception) -> str:
    """The first line of an error, or its type."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _kind(tensor: Tensor) -> str:
    """The type and the shape of a tensor in words."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
