"""Signs that an attack's numbers mean less than they seem to.

They follow the automatic checks of AutoAttack (Croce and Hein 2020, ICML). The stage probe calls
`check`. The shapes use B for samples, T for hours, M for measurements, C for channels.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from icu_adversarial.attack.api import Logits, margin_and_gradient, margins
from icu_adversarial.attack.tasks import Task, model_input

STAYS = 16  # stays that are tried, of each task
TRIES = 64  # random perturbations for each stay
FEW = 0.05  # a warning is given from this share of the stays on


def check(
    tasks: Iterable[Task],
    perturbations: Callable[[Task], Float[np.ndarray, "n T M"]],
    seed: int,
) -> list[str]:
    """Find what is suspicious about models and the examples found for them.

    Args:
        tasks: Stays and their models. The first STAYS stays of each task are tried.
        perturbations: Gives the perturbations of a task's stays in model input units. They are 0
            where the attack failed.
        seed: Seed of the random perturbations.

    Returns:
        One line for every finding.
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
def are_probabilities(logits_fn: Logits, x: Float[Tensor, "B T C"]) -> bool:
    """Whether every row of the outputs is in [0, 1] and has the sum 1."""
    Z = logits_fn(x)
    return bool(((Z >= 0) & (Z <= 1)).all() and (Z.sum(1) - 1).abs().max() < 1e-4)


@torch.no_grad()
def answers_vary(logits_fn: Logits, x: Float[Tensor, "B T C"]) -> bool:
    """Whether two calls with the same input differ."""
    return not torch.equal(logits_fn(x), logits_fn(x))


def zero_gradients(
    logits_fn: Logits,
    x: Float[Tensor, "B T C"],
    y: Int[Tensor, " B"],
    box: Float[Tensor, "B T M"],
) -> float:
    """The share of the samples whose margin has a zero gradient at every value.

    Args:
        logits_fn: The model.
        x: Model input.
        y: The class to leave, 0 or 1.
        box: Any limits of the values. Only the shape is used.
    """
    _, gradient = margin_and_gradient(logits_fn, x, y, torch.zeros_like(box))
    return float((gradient == 0).flatten(1).all(1).float().mean())


def beaten(
    logits_fn: Logits,
    x: Float[Tensor, "B T C"],
    y: Int[Tensor, " B"],
    lower: Float[Tensor, "B T M"],
    upper: Float[Tensor, "B T M"],
    P: Float[Tensor, "B T M"],
    seed: int,
) -> float:
    """The share of the samples for which a random perturbation is better than the attack.

    It is better if it flips a sample for which the attack failed (P = 0), or with no more cells
    and a smaller L1 norm than P. Each of TRIES perturbations moves a random number of random cells
    to random ends of the box. It is shrunk if its L1 norm is not smaller.

    Args:
        logits_fn: The model.
        x: Model input.
        y: The class to leave, 0 or 1.
        lower, upper: The box of the values.
        P: The perturbations of the attack.
        seed: Seed of the random perturbations.
    """
    generator = torch.Generator().manual_seed(seed)
    won = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    failed, values = ~P.flatten(1).any(1), x[..., : P.shape[2]]
    cells = torch.where(failed, P[0].numel(), (P != 0).flatten(1).sum(1))
    size = torch.where(failed, torch.inf, P.abs().flatten(1).sum(1))
    for _ in range(TRIES):
        order = torch.rand(len(y), P[0].numel(), generator=generator)
        rank = order.argsort(1).argsort(1).to(y.device)
        # From 1 to `cells`, uniform in its logarithm.
        number = (cells ** torch.rand(len(y), generator=generator).to(y.device)).ceil()
        high = torch.rand(P.shape, generator=generator).to(y.device) < 0.5
        Q = (torch.where(high, upper, lower) - values) * (rank < number[:, None]).view_as(P)
        shrink = (0.99 * size / Q.abs().flatten(1).sum(1).clamp(min=1e-9)).clamp(max=1)
        Q = Q * shrink[:, None, None]
        won |= margins(logits_fn, x, y, values + Q) < 0
    return float(won.float().mean())
