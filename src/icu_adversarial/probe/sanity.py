"""Signs that the results of an attack mean less than they seem to.

They follow the automatic checks of AutoAttack (Croce and Hein 2020, ICML).
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from icu_adversarial.attack.api import Logits, margin_and_gradient, margins
from icu_adversarial.attack.tasks import Task, model_input

# Stays of each task that are tried.
STAYS = 16
# Random perturbations per stay.
TRIES = 64
# A warning is printed from this share of the stays on.
FEW = 0.05


def check(
    tasks: Iterable[Task], perturbations: Callable[[Task], np.ndarray], seed: int
) -> list[str]:
    """Look for suspicious properties of the models and of their examples.

    Args:
        tasks: Stays and their models; the first STAYS stays of each are tried.
        perturbations: Gives the perturbations of a task's stays, float32 (n, T, 19) in model input
            units. They are zero where the attack failed.
        seed: Of the random perturbations.

    Returns:
        A line for every finding.
    """
    found: dict[str, float] = {}
    tried = 0
    for task in tasks:
        x, y, lower, upper = (tensor[:STAYS] for tensor in model_input(task))
        P = torch.from_numpy(perturbations(task)[:STAYS]).to(x.device)
        model = task.victim.model
        for name, share in {
            "the outputs look like probabilities, not logits: their gradient vanishes where a "
            "model is sure": float(are_probabilities(model, x)),
            "the model answers the same question differently: an example may not flip the next "
            "time": float(answers_vary(model, x)),
            "the gradient is zero: an attack that follows it says nothing about such "
            "stays": zero_gradients(model, x, y, lower),
            "random sparse changes beat the attack": beaten(model, x, y, lower, upper, P, seed),
        }.items():
            found[name] = found.get(name, 0) + share * len(y)
        tried += len(y)
    return [
        f"{name} ({stays / tried:.0%} of the stays tried)"
        for name, stays in found.items()
        if stays / tried >= FEW
    ]


@torch.no_grad()
def are_probabilities(logits_fn: Logits, x: Tensor) -> bool:
    """Whether every row of the outputs is in [0, 1] and sums to 1. x: (B, T, C)."""
    Z = logits_fn(x)
    return bool(((Z >= 0) & (Z <= 1)).all() and (Z.sum(1) - 1).abs().max() < 1e-4)


@torch.no_grad()
def answers_vary(logits_fn: Logits, x: Tensor) -> bool:
    """Whether two calls with the same input differ. x: (B, T, C)."""
    return not torch.equal(logits_fn(x), logits_fn(x))


def zero_gradients(logits_fn: Logits, x: Tensor, y: Tensor, box: Tensor) -> float:
    """The share of the samples whose margin has a gradient of zero.

    Args:
        logits_fn: The network.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        box: `lower` or `upper`, (B, T, M): the gradient is that by the first M channels.
    """
    _, gradient = margin_and_gradient(logits_fn, x, y, torch.zeros_like(box))
    return float((gradient == 0).flatten(1).all(1).float().mean())


def beaten(
    logits_fn: Logits, x: Tensor, y: Tensor, lower: Tensor, upper: Tensor, P: Tensor, seed: int
) -> float:
    """The share of the samples for which a random perturbation is better than the attack.

    It is better where it flips a sample that the attack did not flip, or where it flips a sample
    with no more cells and a smaller L1 norm than P. Each of TRIES perturbations moves a random
    number of random cells to random ends of the box. It is shrunk where its L1 norm is not smaller.

    Args:
        logits_fn: The network.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        lower: The lowest allowed values, (B, T, M).
        upper: The highest allowed values, (B, T, M).
        P: The perturbations of the attack, (B, T, M); zero where it failed.
        seed: Of the random perturbations.
    """
    generator = torch.Generator().manual_seed(seed)
    won = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    failed, values = ~P.flatten(1).any(1), x[..., : P.shape[2]]
    cells = torch.where(failed, P[0].numel(), (P != 0).flatten(1).sum(1))
    size = torch.where(failed, torch.inf, P.abs().flatten(1).sum(1))
    for _ in range(TRIES):
        rank = (
            torch.rand(len(y), P[0].numel(), generator=generator).argsort(1).argsort(1).to(y.device)
        )
        # From 1 to `cells`, as often few as many.
        number = (cells ** torch.rand(len(y), generator=generator).to(y.device)).ceil()
        high = torch.rand(P.shape, generator=generator).to(y.device) < 0.5
        Q = (torch.where(high, upper, lower) - values) * (rank < number[:, None]).view_as(P)
        Q = (
            Q
            * (0.99 * size / Q.abs().flatten(1).sum(1).clamp(min=1e-9)).clamp(max=1)[:, None, None]
        )
        won |= margins(logits_fn, x, y, values + Q) < 0
    return float(won.float().mean())
