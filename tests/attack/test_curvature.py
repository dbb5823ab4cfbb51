import numpy as np
import pytest
import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.curvature import Memory, curved_step
from icu_adversarial.attack.algorithms.knapsack import Step, step
from icu_adversarial.attack.algorithms.settings import StepSettings

CELLS, KAPPA, SETTINGS = 12, 1e-3, StepSettings()
LAST = SETTINGS.points


class Bent:
    """Margins 1 + g . P + P . B P / 2 of 3 samples, B of rank LAST."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.slope = -torch.rand(3, CELLS)
        self.directions = torch.linalg.qr(torch.randn(3, CELLS, LAST)).Q
        self.curvature = (
            self.directions
            @ torch.diag_embed(torch.randn(3, LAST))
            @ self.directions.transpose(1, 2)
        )
        self.low, self.high = torch.full((3, CELLS), -1.0), torch.ones(3, CELLS)

    def gradient(self, P: Tensor) -> Tensor:
        return self.slope + (self.curvature @ P[..., None])[..., 0]

    def margin(self, P: Tensor) -> Tensor:
        return 1 + ((self.slope + self.gradient(P)) / 2 * P).sum(1)

    def step(self, P: Tensor, memory: Memory, rows: Tensor, radius: float = 1.0) -> Step:
        like = torch.ones(len(rows))
        low, high = self.low[rows], self.high[rows]
        return curved_step(
            P[rows],
            self.margin(P)[rows],
            self.gradient(P)[rows],
            memory,
            rows,
            low,
            high,
            KAPPA * like,
            radius * like,
            SETTINGS,
        )


def remembered(bent: Bent, points: int) -> Memory:
    memory = Memory.empty(bent.low, LAST)
    for _ in range(points):
        P = torch.rand(3, CELLS) - 0.5
        memory.remember(torch.arange(3), P, bent.gradient(P))
    return memory


@pytest.mark.parametrize("seed", range(5))
def test_a_margin_that_bends_along_the_remembered_moves_alone_is_predicted_exactly(
    seed: int,
) -> None:
    bent, P, rows = Bent(seed), torch.zeros(3, CELLS), torch.arange(3)
    memory = Memory.empty(bent.low, LAST)
    for i in range(LAST):
        move = (0.1 + 0.1 * i) * bent.directions[..., i]
        memory.remember(rows, move, bent.gradient(move))
    found = bent.step(P, memory, rows)
    torch.testing.assert_close(found.predicted, bent.margin(found.P), atol=1e-4, rtol=0)
    straight = step(
        P,
        bent.margin(P),
        bent.gradient(P),
        bent.low,
        bent.high,
        torch.full((3,), KAPPA),
        torch.ones(3),
    )
    assert (
        (bent.margin(straight.P) - straight.predicted).abs()
        > 10 * (bent.margin(found.P) - found.predicted).abs()
    ).all()


@pytest.mark.parametrize("seed", range(5))
def test_without_memory_it_is_the_step_of_the_linear_programme(seed: int) -> None:
    bent, P, rows = Bent(seed), 0.1 * torch.rand(3, CELLS), torch.arange(3)
    found = bent.step(P, Memory.empty(bent.low, LAST), rows)
    straight = step(
        P,
        bent.margin(P),
        bent.gradient(P),
        bent.low,
        bent.high,
        torch.full((3,), KAPPA),
        torch.ones(3),
    )
    torch.testing.assert_close(found.P, straight.P, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.predicted, straight.predicted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("points", [0, 2, LAST + 3])
def test_it_stays_in_the_box_and_the_trust_region_and_depends_on_no_neighbour(points: int) -> None:
    bent, P = Bent(7), torch.rand(3, CELLS) - 0.5
    memory = remembered(bent, points)
    found = bent.step(P, memory, torch.arange(3), radius=0.2)
    assert ((found.P - P).abs() <= 0.2 + 1e-6).all()
    assert torch.equal(found.P, found.P.clamp(bent.low, bent.high))
    for i in range(3):
        alone = bent.step(P, memory, torch.tensor([i]), radius=0.2)
        assert torch.equal(alone.P[0], found.P[i])


@pytest.mark.parametrize("perturbed", [0, 5, 128, 200, 400])
@pytest.mark.parametrize("to_the_boundary", [3, 100, 200, 300])
def test_as_many_cells_move_as_it_takes(perturbed: int, to_the_boundary: int) -> None:
    """Of 400, where so many are perturbed (in two samples of four) or needed; each sample for itself."""
    torch.manual_seed(perturbed)
    n, cells = 4, 400
    P = torch.zeros(n, cells)
    P[2:, :perturbed] = 0.1 * torch.rand(2, perturbed) - 0.05
    gradient = -(0.5 + torch.rand(n, cells))
    low, high = torch.full((n, cells), -0.1), torch.full((n, cells), 0.1)
    margin, kappa, radius = (
        torch.full((n,), 0.1 * to_the_boundary),
        torch.full((n,), KAPPA),
        torch.ones(n),
    )
    found = curved_step(
        P,
        margin,
        gradient,
        Memory.empty(low, LAST),
        torch.arange(n),
        low,
        high,
        kappa,
        radius,
        SETTINGS,
    )
    straight = step(P, margin, gradient, low, high, kappa, radius)
    torch.testing.assert_close(found.predicted, straight.predicted, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.P.abs().sum(1), straight.P.abs().sum(1), atol=1e-4, rtol=0)
    for i in range(n):
        part = (tensor[i : i + 1] for tensor in (P, margin, gradient))
        alone = curved_step(
            *part,
            Memory.empty(low, LAST),
            torch.tensor([i]),
            low[:1],
            high[:1],
            kappa[:1],
            radius[:1],
            SETTINGS,
        )
        assert torch.equal(alone.P[0], found.P[i])


def test_the_memory_keeps_the_last_points() -> None:
    memory, rows = Memory.empty(torch.zeros(2, 3), LAST), torch.tensor([1])
    for value in range(LAST + 2):
        memory.remember(rows, torch.full((1, 3), float(value)), torch.full((1, 3), -float(value)))
    assert memory.number.tolist() == [0, LAST + 2]
    assert sorted(memory.points[1, :, 0].tolist()) == list(range(2, LAST + 2))
    np.testing.assert_array_equal(memory.gradients, -memory.points)
