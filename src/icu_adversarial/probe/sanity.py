"""Signs that an attack's numbers mean less than they seem to, after the automatic checks of AutoAttack (Croce and Hein 2020, ICML)."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from icu_adversarial.attack.api import Logits, margin_and_gradient, margins
from icu_adversarial.attack.tasks import Task, model_input

STAYS = 16  # of each task
TRIES = 64  # random perturbations per stay
FEW = 0.05  # share of stays from which on a warning is due


def check(
    tasks: Iterable[Task], perturbations: Callable[[Task], np.ndarray], seed: int
) -> list[str]:
    """Find what is suspicious about these models and the examples found for them.

    Args:
        tasks: Stays and their models; the first STAYS stays of each are tried.
        perturbations: Of a task's stays, float32 (n, T, 19) in model input units; zeros alone
            where the attack failed.
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
    """Whether every row of the outputs lies in [0, 1] and sums to 1."""
    Z = logits_fn(x)
    return bool(((Z >= 0) & (Z <= 1)).all() and (Z.sum(1) - 1).abs().max() < 1e-4)


@torch.no_grad()
def answers_vary(logits_fn: Logits, x: Tensor) -> bool:
    """Whether two calls differ."""
    return not torch.equal(logits_fn(x), logits_fn(x))


def zero_gradients(logits_fn: Logits, x: Tensor, y: Tensor, box: Tensor) -> float:
    """Share of the samples whose margin has no gradient by any value of the box's channels."""
    _, gradient = margin_and_gradient(logits_fn, x, y, torch.zeros_like(box))
    return float((gradient == 0).flatten(1).all(1).float().mean())


def beaten(
    logits_fn: Logits, x: Tensor, y: Tensor, lower: Tensor, upper: Tensor, P: Tensor, seed: int
) -> float:
    """Share of the samples that TRIES random perturbations flip where the attack failed (P = 0), or
    with no more cells and a smaller L1 norm than P.

    Each moves a random number of random cells to random ends of the box, and is shrunk where its
    L1 norm is not smaller.
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
        number = (
            cells ** torch.rand(len(y), generator=generator).to(y.device)
        ).ceil()  # from 1 to `cells`, as often few as many
        high = torch.rand(P.shape, generator=generator).to(y.device) < 0.5
        Q = (torch.where(high, upper, lower) - values) * (rank < number[:, None]).view_as(P)
        Q = (
            Q
            * (0.99 * size / Q.abs().flatten(1).sum(1).clamp(min=1e-9)).clamp(max=1)[:, None, None]
        )
        won |= margins(logits_fn, x, y, values + Q) < 0
    return float(won.float().mean())
