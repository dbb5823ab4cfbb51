from itertools import pairwise

import numpy as np
import pytest
import torch
from attack_models import Counted, box, linear, linear_case, margins, smallest_l1, two_layers

from icu_adversarial.attack.algorithms.knapsack import step
from icu_adversarial.attack.algorithms.l1 import SETTINGS, l1


@pytest.mark.parametrize(
    ("batch", "hours", "channels"), [(1, 6, 5), (7, 6, 5), (64, 12, 4), (80, 48, 19)]
)
@pytest.mark.parametrize("seed", range(4))
def test_l1_is_that_of_the_optimum_of_a_linear_model(
    batch: int, hours: int, channels: int, seed: int
) -> None:
    x, y, weight, model = linear_case(batch, hours, channels, seed)
    best = l1(model, x, y, **box(x), iterations=100).best
    size = best.perturbation.abs().sum((1, 2)).numpy()
    optimum = smallest_l1(x, y, weight, margins(model, x, y))
    assert (margins(model, x + best.perturbation, y) < 0).all()
    assert (size >= optimum * (1 - 1e-4) - 1e-6).all()
    assert (
        size <= 1.01 * optimum + 2e-4 / float(weight.abs().max())
    ).all()  # how far behind the boundary an example must lie


@pytest.mark.parametrize("growth", [True, False])
def test_l1_is_that_of_the_optimum_where_it_takes_hundreds_of_cells(growth: bool) -> None:
    x, y, weight, _ = linear_case(12, 48, 19)
    room = (weight.abs() * torch.where(weight > 0, 1 - x.flatten(1), x.flatten(1))).sum(1)
    model = linear(weight, -float((x.flatten(1) * weight).sum(1).max() + 0.6 * room.min()))
    y = torch.zeros_like(y)
    best = l1(model, x, y, **box(x), iterations=100, growth=growth).best
    size, optimum = (
        best.perturbation.abs().sum((1, 2)).numpy(),
        smallest_l1(x, y, weight, margins(model, x, y)),
    )
    assert np.isfinite(optimum).sum() > 6
    assert ((best.iteration > 0).numpy() == np.isfinite(optimum)).all()
    reached = np.isfinite(optimum)
    assert (best.perturbation != 0).sum((1, 2)).numpy()[reached].min() > 200
    assert (size[reached] <= 1.01 * optimum[reached]).all()


def test_a_last_cell_too_small_to_count_is_moved_where_the_flip_needs_it() -> None:
    """The first cell at its end gains 1 of 1.0005; without the second one nothing flips, and the first cannot move further."""
    x, y = torch.full((1, 1, 3), 0.5), torch.tensor([0])
    weight = torch.tensor([[2.0, 1.0, 0.5]])
    model = linear(weight, -float((weight * x[0]).sum()) - 1.0005)
    P = l1(model, x, y, **box(x), iterations=100).best.perturbation[0, 0]
    assert P.tolist() == pytest.approx([0.5, 0.002, 0], abs=1e-7)


def test_a_start_beyond_the_boundary_finds_a_cell_that_is_steep_there_alone() -> None:
    """From P = 0 downhill, 0.833 of the first cell flips; from beyond, 0.667 of the second one, which is flat up to 0.4."""

    def logits(x: torch.Tensor) -> torch.Tensor:
        first, second = x[:, 0, 0], x[:, 0, 1]
        margin = (
            1 - 1.2 * first - 0.3 * second - 3 * torch.nn.functional.softplus(second - 0.4, beta=50)
        )
        return torch.stack([margin, torch.zeros_like(margin)], 1)

    x, y = torch.zeros(1, 1, 2), torch.tensor([0])
    some = {"iterations": 100, "supports": 0} | box(x)
    near, beyond = (
        l1(logits, x, y, **some, restarts=restarts).best.perturbation[0, 0]
        for restarts in (0, len(SETTINGS.starts))
    )
    assert near.tolist() == pytest.approx([1 / 1.2, 0], abs=1e-3)
    assert beyond.tolist() == pytest.approx([0, 2.2 / 3.3], abs=1e-3)


def test_a_start_at_a_support_finds_cells_that_pay_off_together() -> None:
    """From P = 0 downhill, 0.833 of the first cell flips. The next two together make the margin fall far faster, but none of them does alone."""

    def logits(x: torch.Tensor) -> torch.Tensor:
        first, second, third = x[:, 0, :3].unbind(1)
        margin = 1 - 1.2 * first - 0.6 * (second + third) - 6 * second * third
        return torch.stack([margin, torch.zeros_like(margin)], 1)

    x, y = torch.zeros(1, 1, 3), torch.tensor([0])
    near, sparse = (
        l1(logits, x, y, **box(x), iterations=100, restarts=0, supports=n).best.perturbation[0, 0]
        for n in (0, len(SETTINGS.sparse_starts))
    )
    assert near.tolist() == pytest.approx([1 / 1.2, 0, 0], abs=1e-3)
    assert sparse[0] == 0
    assert sparse.sum() < 0.9 * near.sum()


def test_few_passes() -> None:
    x, y, _, model = linear_case(400, 48, 19)
    counted = Counted(model)
    l1(counted, x, y, **box(x), iterations=100, restarts=0, supports=0)
    assert counted.gradients <= counted.forward <= 6 * 400


def test_of_a_small_network_l1_is_that_of_a_fine_grid() -> None:
    """All changes of two cells in steps of 1/400."""
    x, y, model = two_layers(40, 1, 2, seed=4)
    best = l1(model, x, y, **box(x), iterations=100).best
    line = torch.linspace(0, 1, 401)
    values = torch.cartesian_prod(line, line)[:, None]
    near = 0
    for i in range(len(x)):
        flips = margins(model, values, y[i].repeat(len(values))) < 0
        smallest = float((values - x[i]).abs().sum((1, 2))[flips].min())
        found = float(best.perturbation[i].abs().sum()) if best.iteration[i] > 0 else np.inf
        assert found >= smallest - 1 / 200
        near += found <= 1.01 * smallest + 1 / 200
    assert near >= 38


def test_the_step_solves_the_linear_programme() -> None:
    """Against scipy's solver, in the variables Q = up - down >= 0."""
    from scipy.optimize import linprog

    generator = torch.Generator().manual_seed(0)
    n, cells = 30, 15
    low, high = (
        -torch.rand(n, cells, generator=generator),
        torch.rand(n, cells, generator=generator),
    )
    P = (torch.rand(n, cells, generator=generator) * (high - low) + low) * (
        torch.rand(n, cells, generator=generator) < 0.5
    )
    gradient, margin = (
        torch.randn(n, cells, generator=generator),
        torch.rand(n, generator=generator) * 2 - 0.5,
    )
    radius, kappa = torch.full((n,), 0.3), torch.full((n,), 1e-3)
    found = step(P, margin, gradient, low, high, kappa, radius)
    solved = 0
    for i in range(n):
        least, most, now, g = (tensor[i].double().numpy() for tensor in (low, high, P, gradient))
        down, up = np.maximum(least, now - 0.3), np.minimum(most, now + 0.3)
        identity = np.eye(cells)
        limits = np.concatenate(
            [np.c_[identity, -identity], np.c_[-identity, identity], np.r_[g, -g][None]]
        )
        bounds = np.concatenate([up, -down, [g @ now - float(margin[i] + kappa[i])]])
        reference = linprog(np.ones(2 * cells), A_ub=limits, b_ub=bounds)
        if reference.success:
            solved += 1
            assert float(found.P[i].abs().sum()) == pytest.approx(reference.fun, abs=1e-4)
            assert float(found.predicted[i]) <= -1e-3 + 1e-5
        else:
            assert float(found.predicted[i]) < float(margin[i])
        assert (found.P[i].double().numpy() >= down - 1e-6).all()
        assert (found.P[i].double().numpy() <= up + 1e-6).all()
    assert solved > 15


def test_a_cap_bounds_every_cell_and_costs_l1() -> None:
    x, y, _, model = linear_case(40, 12, 4)
    free, capped = (l1(model, x, y, **box(x), iterations=100, cap=cap).best for cap in (1.0, 0.3))
    found = capped.iteration > 0
    assert found.sum() > 30
    assert capped.perturbation.abs().max() <= 0.3 + 1e-6
    assert (
        capped.perturbation[found].abs().sum((1, 2))
        >= free.perturbation[found].abs().sum((1, 2)) - 1e-4
    ).all()
    assert free.perturbation.abs().max() > 0.5


def test_a_start_is_where_the_search_begins() -> None:
    x, y, _, model = linear_case(8, 6, 5)
    start = l1(model, x, y, **box(x), iterations=100).best.perturbation * 1.05
    counted = Counted(model)
    again = l1(
        counted,
        x,
        y,
        lower=(x + start.clamp(max=0)).clamp(min=0),
        upper=(x + start.clamp(min=0)).clamp(max=1),
        iterations=100,
        start=start,
    )
    assert (again.first.iteration == 0).all()
    assert (again.best.perturbation.abs().sum((1, 2)) < start.abs().sum((1, 2))).all()


def test_the_best_is_never_larger_than_the_first_and_iterations_are_a_limit() -> None:
    x, y, model = two_layers(60, 6, 5, 3)
    result = l1(model, x, y, **box(x), iterations=100)
    found = result.first.iteration > 0
    assert found.all()
    first, best = (example.perturbation.abs().sum((1, 2)) for example in result)
    assert (best <= first).all()
    assert (best < 0.99 * first).any()
    assert (result.best.iteration >= result.first.iteration).all()
    last = int(
        l1(model, x, y, **box(x), iterations=100, restarts=0, supports=0).best.iteration.max()
    )
    short = l1(model, x, y, **box(x), iterations=last - 1, restarts=0, supports=0)
    assert int(short.best.iteration.max()) < last


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_however_few_the_iterations_a_start_takes_a_step(iterations: int) -> None:
    x, y, _, model = linear_case(20, 6, 5)
    assert (
        l1(model, x, y, **box(x), iterations=iterations, growth=False).first.iteration == 1
    ).all()


def test_an_example_of_a_later_start_counts_the_steps_of_all_before() -> None:
    x, y, model = two_layers(60, 6, 5, 3)
    one, all_starts = (
        l1(model, x, y, **box(x), iterations=100, restarts=0, supports=supports).best
        for supports in (0, len(SETTINGS.sparse_starts))
    )
    better = one.perturbation.abs().sum((1, 2)) > all_starts.perturbation.abs().sum((1, 2)) + 1e-6
    same = (one.perturbation == all_starts.perturbation).flatten(1).all(1)
    assert better.any()
    assert same.any()
    assert (all_starts.iteration[better] > one.iteration[better]).all()
    assert torch.equal(all_starts.iteration[same], one.iteration[same])


@pytest.mark.parametrize(
    ("name", "other", "most"),
    [
        ("restarts", "supports", len(SETTINGS.starts)),
        ("supports", "restarts", len(SETTINGS.sparse_starts)),
    ],
)
def test_each_further_start_costs_passes_and_may_find_less(
    name: str, other: str, most: int
) -> None:
    x, y, model = two_layers(60, 12, 19, 5)
    sizes, passes = [], []
    for number in range(most + 1):
        counted = Counted(model)
        best = l1(counted, x, y, **box(x), iterations=100, **{name: number, other: 0}).best
        sizes.append(best.perturbation.abs().sum((1, 2)))
        passes.append(counted.gradients)
    for fewer, more in pairwise(sizes):
        assert more.mean() <= fewer.mean() + 1e-3
    assert (sizes[-1] < 0.99 * sizes[0]).any()
    assert sorted(set(passes)) == passes
