"""The optimizers and the learning-rate schedule of `training`, and an optimizer's state."""

import copy
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

# fused: all weights in one kernel; of RMSprop there is none. AdamW without weight decay is Adam
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.AdamW, fused=True),
    "rmsprop": torch.optim.RMSprop,
    "sgd": partial(torch.optim.SGD, fused=True),
}
RISING = 0.3  # share of a one-cycle schedule in which the learning rate rises
FIRST, LAST = 1 / 25, 1e-4  # of the highest learning rate, where the schedule starts and ends


def one_cycle(progress: float) -> float:
    """The learning rate as a share of its highest: FIRST rising to 1 along a cosine, then falling
    to LAST x FIRST (Smith and Topin 2019, with the constants of torch's OneCycleLR).

    progress: 0 for the first step, 1 for the last.
    """
    if progress < RISING:
        return FIRST + (1 - FIRST) * (1 - math.cos(math.pi * progress / RISING)) / 2
    low = FIRST * LAST
    return low + (1 - low) * (1 + math.cos(math.pi * (progress - RISING) / (1 - RISING))) / 2


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors by parameter number and name, on the CPU."""
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
