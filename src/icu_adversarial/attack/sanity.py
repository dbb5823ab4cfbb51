"""Signs that an attack's numbers mean less than they seem to, after the automatic checks of AutoAttack (Croce and Hein 2020, ICML)."""

from collections.abc import Iterable

import torch
from torch import Tensor

from icu_adversarial.attack.loop import Attack, Task, in_processes, model_input
from icu_adversarial.attack.problem import Example, Logits, margin_and_gradient, margins
from icu_adversarial.processes import prepare_worker

STAYS = 16  # of each task
TRIES = 64  # random perturbations per stay
FEW = 0.05  # share of stays from which on a warning is due


def check(tasks: Iterable[Task], attack: Attack, seed: int) -> list[str]:
    """Find what is suspicious about these models, each with its attack.

    Args:
        tasks: Stays and their models; the first STAYS stays of each are attacked once more.
        attack: The attack with its hyperparameters.
        seed: Of the random perturbations.

    Returns:
        A line for every finding.
    """
    found: dict[str, float] = {}
    tried = 0
    for stays, shares in in_processes(_try, ((task, attack, seed) for task in tasks)):
        for name, share in shares.items():
            found[name] = found.get(name, 0) + share * stays
        tried += stays
    return [
        f"{name} ({stays / tried:.0%} of the stays tried)"
        for name, stays in found.items()
        if stays / tried >= FEW
    ]


def _try(task: Task, attack: Attack, seed: int) -> tuple[int, dict[str, float]]:
    """The number of stays tried, and the share of them to which each finding applies."""
    prepare_worker()
    x, y, lower, upper = (tensor[:STAYS] for tensor in model_input(task))
    model = task.victim.model
    best = attack(model, x, y, lower=lower, upper=upper).best
    return len(y), {
        "the outputs look like probabilities, not logits: their gradient vanishes where a model "
        "is sure": float(are_probabilities(model, x)),
        "the model answers the same question differently: an example may not flip the next "
        "time": float(answers_vary(model, x)),
        "the gradient is zero: an attack that follows it says nothing about such "
        "stays": zero_gradients(model, x, y, lower),
        "random sparse changes beat the attack": beaten(model, x, y, lower, upper, best, seed),
    }


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
    logits_fn: Logits, x: Tensor, y: Tensor, lower: Tensor, upper: Tensor, best: Example, seed: int
) -> float:
    """Share of the samples that TRIES random perturbations flip where the attack failed, or with no more cells and a smaller L1 norm.

    Each moves a random number of random cells to random ends of the box, and is shrunk where its L1 norm is not smaller.
    """
    generator = torch.Generator().manual_seed(seed)
    P, won = best.perturbation, torch.zeros(len(y), dtype=torch.bool, device=y.device)
    failed, values = best.iteration < 0, x[..., : P.shape[2]]
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
