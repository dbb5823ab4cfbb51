"""The optimizers, the learning-rate schedule, and the state of an optimizer, for `training`."""

import copy
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

# fused: one kernel updates all weights. RMSprop has none. AdamW without weight decay is Adam.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.AdamW, fused=True),
    "rmsprop": torch.optim.RMSprop,
    "sgd": partial(torch.optim.SGD, fused=True),
}
RISING = 0.3  # share of a one-cycle schedule in which the learning rate rises
FIRST = 1 / 25  # the first learning rate as a share of the highest one
LAST = 1e-4  # the last learning rate as a share of the first one


def one_cycle(progress: float) -> float:
    """The one-cycle schedule (Smith and Topin 2019) with the constants of torch's OneCycleLR.

    The learning rate rises from FIRST to 1 along a cosine, then falls to FIRST * LAST.

    Args:
        progress: 0 for the first step, 1 for the last.

    Returns:
        The learning rate as a share of the highest one.
    """
    if progress < RISING:
        return FIRST + (1 - FIRST) * (1 - math.cos(math.pi * progress / RISING)) / 2
    low = FIRST * LAST
    return low + (1 - low) * (1 + math.cos(math.pi * (progress - RISING) / (1 - RISING))) / 2


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimizer on the CPU, by "NUMBER OF THE PARAMETER/NAME"."""
    state = optimizer.state_dict()["state"]
    return {
        f"{i}/{name}": value.cpu()
        for i, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put the tensors of `optimizer_state` back into an optimizer of the same parameters."""
    content = copy.copy(optimizer.state_dict())
    content["state"] = {}
    for key, tensor in tensors.items():
        i, _, name = key.partition("/")
        content["state"].setdefault(int(i), {})[name] = tensor.clone()
    optimizer.load_state_dict(content)
