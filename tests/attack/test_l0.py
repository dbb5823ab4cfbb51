import numpy as np
import pytest
import torch
from attack_models import (
    Counted,
    box,
    fewest_cells,
    linear_case,
    margins,
    smallest_l0,
    smallest_l1,
    two_layers,
)

from icu_adversarial.attack.algorithms.l0 import l0
from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.api import FLIP_MARGIN


@pytest.mark.parametrize(
    ("batch", "hours", "channels"), [(1, 6, 5), (7, 6, 5), (64, 12, 4), (100, 48, 19)]
)
@pytest.mark.parametrize("seed", range(4))
def test_l0_is_the_optimum_of_a_linear_model(
    batch: int, hours: int, channels: int, seed: int
) -> None:
    x, y, weight, model = linear_case(batch, hours, channels, seed)
    best = l0(model, x, y, **box(x), iterations=100).best
    margin = margins(model, x, y)
    assert (margins(model, x + best.perturbation, y) < 0).all()
    cells, optimum = (
        (best.perturbation != 0).sum((1, 2)).numpy(),
        smallest_l0(x, y, weight, margin - FLIP_MARGIN),
    )
    assert (cells >= smallest_l0(x, y, weight, margin)).all()
    assert (cells == optimum).mean() >= 0.99
    assert (
        best.perturbation.abs().sum((1, 2)).numpy()
        >= smallest_l1(x, y, weight, margin) * (1 - 1e-4)
    ).all()


def test_of_a_small_network_l0_is_exact_by_enumeration() -> None:
    exact, total = 0, 0
    for seed in range(40):
        x, y, model = two_layers(10, 2, 5, seed)
        best = l0(model, x, y, **box(x), iterations=100).best
        cells = torch.where(best.iteration >= 0, (best.perturbation != 0).sum((1, 2)), 99).numpy()
        optimum = np.array(fewest_cells(model, x, y, most=4))
        known = optimum <= 4
        exact, total = exact + int((cells <= optimum)[known].sum()), total + int(known.sum())
    assert total > 300
    assert exact >= 0.95 * total


def test_on_its_cells_the_change_is_small() -> None:
    """The last part leaves the cells and shrinks their changes: no worse than l1 on the same cells."""
    x, y, model = two_layers(60, 6, 5, 1)
    best = l0(model, x, y, **box(x), iterations=100).best
    found = best.iteration > 0
    assert found.all()
    P = best.perturbation
    closed = l1(
        model,
        x,
        y,
        lower=torch.where(P != 0, 0, x),
        upper=torch.where(P != 0, 1, x),
        iterations=100,
    ).best
    alone = closed.iteration > 0
    assert (P.abs().sum((1, 2)) <= 1.02 * closed.perturbation.abs().sum((1, 2)) + 1e-3)[
        alone
    ].float().mean() > 0.9
    assert ((P != 0) & ((x + P - 0.5).abs() < 0.49)).any()


def test_fewer_cells_than_the_l1_attack_and_few_passes() -> None:
    x, y, model = two_layers(200, 12, 19, 2)
    counted = Counted(model)
    sparse, small = (
        l0(counted, x, y, **box(x), iterations=100, starts=1, candidates=16).best,
        l1(model, x, y, **box(x), iterations=100).best,
    )
    assert (sparse.iteration > 0).all()
    fewer, cells = ((best.perturbation != 0).sum((1, 2)) for best in (sparse, small))
    assert (fewer <= cells).float().mean() >= 0.98
    assert fewer.sum() < 0.7 * cells.sum()
    assert counted.gradients <= 30 * 200
    assert counted.forward <= 90 * 200


def test_what_the_ends_of_the_box_cannot_flip_is_flipped_between_them() -> None:
    """The margin is below zero only near x = 0.75 in the first cell, at neither end: growth by whole cells fails."""

    def logits(x: torch.Tensor) -> torch.Tensor:
        z = 0.2 - (x[:, 0, 0] - 0.75).abs() + 0.01 * x[:, 1, 1]
        return torch.stack([-z, z], 1)

    x = torch.full((3, 2, 2), 0.5)
    x[:, 0, 0] = 0.45
    y = logits(x).argmax(1)
    assert (y == 0).all()
    best = l0(logits, x, y, **box(x), iterations=100).best
    assert (best.iteration > 0).all()
    assert (logits(x + best.perturbation).argmax(1) == 1).all()
    assert ((best.perturbation != 0).sum((1, 2)) == 1).all()


def test_the_first_example_is_the_earliest_of_all_starts() -> None:
    x, y, model = two_layers(100, 12, 19, 5)
    first, best = l0(model, x, y, **box(x), iterations=3, share=0.05, starts=3, candidates=8)
    slow = l0(model, x, y, **box(x), iterations=3, share=0.05, starts=1, candidates=8).first
    assert ((slow.iteration < 0) & (first.iteration > 0)).any()
    assert torch.equal(first.iteration > 0, best.iteration > 0)
    assert (first.iteration <= best.iteration).all()
    assert (margins(model, x + first.perturbation, y) < 0)[first.iteration > 0].all()


@pytest.mark.parametrize("name", ["share", "candidates", "patience", "starts", "cap", "iterations"])
def test_every_choice_changes_the_search(name: str) -> None:
    x, y, model = two_layers(60, 12, 19, 5)
    passes = []
    for value in {
        "share": (0.1, 1.0),
        "candidates": (2, 10),
        "patience": (1, 4),
        "starts": (1, 3),
        "cap": (0.2, 1.0),
        "iterations": (2, 100),
    }[name]:
        counted = Counted(model)
        best = l0(counted, x, y, **({"iterations": 100} | box(x) | {name: value})).best
        passes.append(counted.forward)
        if name == "cap":
            assert best.perturbation.abs().max() <= value + 1e-6
    assert passes[0] != passes[1]
