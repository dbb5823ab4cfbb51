"""Each warning fires on a model or an attack that deserves it, and none on honest ones."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from attack_models import Recurrent
from attack_tasks import make_stays
from literature_set import NAMES, M
from torch import Tensor, nn

from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.api import Example, Result
from icu_adversarial.attack.tasks import Attack, Task, Victim, model_input
from icu_adversarial.probe.sanity import STAYS
from icu_adversarial.probe.sanity import check as check_examples

ATTACK = partial(l1, iterations=30, restarts=0, supports=0)


class Values:
    """Grids that are model input already."""

    names = NAMES
    perturbable, clinical_span = np.ones(M, bool), np.ones(M, np.float32)

    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
        return grid


class Changed(nn.Module):
    """A recurrent network whose logits pass through `change`."""

    def __init__(self, network: Recurrent, change: object) -> None:
        super().__init__()
        self.network, self.change = network, change

    def forward(self, x: Tensor) -> Tensor:
        return self.change(self.network(x))


def make_task(change: object = lambda z: z) -> Task:
    grid = np.random.default_rng(0).random((40, 8, M), dtype=np.float32)
    network = Recurrent(M, 16)
    y = network.calibrate(torch.from_numpy(grid)).numpy()
    return Task(
        0, Victim(Changed(network, change).eval(), Values()), make_stays(np.arange(40)), grid, y
    )


def silent(model: object, x: Tensor, y: Tensor, *, lower: Tensor, upper: Tensor) -> Result:
    """An attack that never finds anything."""
    nothing = Example(torch.zeros_like(lower), torch.full_like(y, -1, dtype=torch.int32))
    return Result(nothing, nothing)


def clumsy(model: object, x: Tensor, y: Tensor, *, lower: Tensor, upper: Tensor) -> Result:
    """An attack that moves every cell."""
    best = ATTACK(model, x, y, lower=lower, upper=upper).best
    towards = torch.where(
        best.perturbation != 0,
        best.perturbation.sign(),
        torch.where(torch.arange(M) % 2 == 0, 1, -1),
    )
    return Result(best, Example(torch.where(towards > 0, upper - x, lower - x), best.iteration))


def check(tasks: Iterable[Task], attack: Attack, seed: int) -> list[str]:
    """`sanity.check` with what `attack` finds."""

    def perturbations(task: Task) -> np.ndarray:
        x, y, lower, upper = (tensor[:STAYS] for tensor in model_input(task))
        best = attack(task.victim.model, x, y, lower=lower, upper=upper).best
        found = torch.where((best.iteration >= 0)[:, None, None], best.perturbation, 0)
        return found.detach().numpy()

    return check_examples(tasks, perturbations, seed)


def test_an_honest_model_and_attack_raise_nothing() -> None:
    assert check([make_task(), make_task()], ATTACK, seed=0) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z.softmax(1), "look like probabilities"),
        (lambda z: z + 1e-3 * torch.rand_like(z), "answers the same question differently"),
        (lambda z: (1e3 * z).round(decimals=-2), "the gradient is zero"),
    ],
)
def test_a_model_that_hides_its_gradient_or_its_mind_is_told(change: object, message: str) -> None:
    found = [line for line in check([make_task(change)], ATTACK, seed=0) if message in line]
    assert len(found) == 1
    assert "100% of the stays tried" in found[0]


@pytest.mark.parametrize("attack", [silent, clumsy])
def test_an_attack_that_random_changes_beat_is_told(attack: object) -> None:
    assert any(
        "random sparse changes beat the attack" in line
        for line in check([make_task()], attack, seed=0)
    )


def test_every_stay_tried_counts_alike() -> None:
    flat = make_task(lambda z: (1e3 * z).round(decimals=-2))
    single = Task(flat.fold, flat.victim, flat.stays[:1], flat.grid[:1], flat.y[:1])
    assert not any(
        "gradient is zero" in line for line in check([make_task()] * 2 + [single], ATTACK, seed=0)
    )  # one of 33
    assert any(
        "gradient is zero" in line and "(6% of" in line
        for line in check([make_task(), single], ATTACK, seed=0)
    )


def test_the_same_seed_tells_the_same() -> None:
    assert check([make_task()], silent, seed=1) == check([make_task()], silent, seed=1)
