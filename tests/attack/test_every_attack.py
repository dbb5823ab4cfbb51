"""What holds for every attack of the folder, whatever it minimises."""

from functools import partial
from typing import Any

import pytest
import torch
from attack_models import Counted, Recurrent, box, linear, linear_case, margins, two_layers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from icu_adversarial.attack.algorithms.registry import METHODS, method_for
from icu_adversarial.attack.api import FLIP_MARGIN, NONZERO, margin_and_gradient
from icu_adversarial.attack.oracle import for_attack

CHOICES = {
    "prior": {"optimizer": "adam", "learning_rate": 0.03, "kappa": 0.05, "penalty": 1e-3},
    "sun": {},
    "l1": {},
    "l0": {},
}
ATTACKS = {
    name: partial(method, iterations=40, **CHOICES[name]) for name, method in METHODS.items()
}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@settings(max_examples=10)
@given(st.integers(0, 10_000))
@every_attack
def test_every_example_obeys_the_rules(attack: Any, seed: int) -> None:
    x, y, model = two_layers(9, 3, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    frozen = torch.rand(9, 3, 3, generator=generator) < 0.4
    values = x[..., :3]  # the fourth channel has no box: it never moves
    lower, upper = torch.where(frozen, values, 0.1), torch.where(frozen, values, 0.9)
    lower, upper = torch.minimum(lower, values), torch.maximum(upper, values)
    for perturbation, iteration in attack(model, x, y, lower=lower, upper=upper):
        assert perturbation.shape == lower.shape
        assert iteration.dtype == torch.int32
        found = iteration > 0
        assert (found | (iteration == -1)).all()
        assert (perturbation[frozen] == 0).all()
        assert (perturbation[~found] == 0).all()
        assert ((perturbation == 0) | (perturbation.abs() > NONZERO)).all()
        assert (perturbation[found].abs().sum((1, 2)) > 0).all()
        assert (values + perturbation >= lower - 1e-6).all()
        assert (values + perturbation <= upper + 1e-6).all()
        changed = torch.cat([values + perturbation, x[..., 3:]], 2)
        assert (margins(model, changed, y)[found] < FLIP_MARGIN + 1e-6).all()


@every_attack
def test_a_sample_is_flipped_at_first_when_it_is_flipped_at_best(attack: Any) -> None:
    x, y, model = two_layers(200, 6, 5, 0)
    first, best = attack(model, x, y, **box(x))
    assert torch.equal(first.iteration > 0, best.iteration > 0)
    assert (best.iteration > 0).float().mean() > 0.95


def has_the_same_bits_in_any_batch(
    model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor
) -> bool:
    """Whether the gradient of a sample is the same to the last bit in batches of other sizes."""
    whole = margin_and_gradient(model, x, y, torch.zeros_like(x))[1]
    parts = (margin_and_gradient(model, x[:n], y[:n], torch.zeros_like(x[:n]))[1] for n in (3, 60))
    return all(torch.equal(part, whole[: len(part)]) for part in parts)


@every_attack
def test_a_result_does_not_depend_on_the_batch(attack: Any) -> None:
    model = Recurrent(5, 32)
    x = torch.rand(
        150, 6, 5, generator=torch.Generator().manual_seed(0)
    )  # more than one pass takes
    y, model = model.calibrate(x), for_attack(model)
    if not has_the_same_bits_in_any_batch(model, x, y):
        pytest.skip("on this processor, the bits of a gradient depend on the size of the batch")
    whole = attack(model, x, y, **box(x))
    for rows in (torch.arange(150).flip(0), torch.tensor([149, 3, 77]), torch.arange(40, 100)):
        part = attack(model, x[rows], y[rows], **box(x[rows]))
        for one, other in zip(whole, part, strict=True):
            assert torch.equal(one.perturbation[rows], other.perturbation)
            assert torch.equal(one.iteration[rows], other.iteration)


@every_attack
def test_a_margin_within_rounding_of_the_boundary_is_not_trusted(attack: Any) -> None:
    """The lowest margin in reach is -5e-6: another machine may see it on the other side."""
    x = torch.full((1, 1, 1), 0.5)
    model = linear(torch.tensor([0.05]), -0.05 + 5e-6)
    y = model(x).argmax(1)
    assert y[0] == 0
    assert int(attack(model, x, y, **box(x)).best.iteration[0]) == -1


@every_attack
def test_what_is_wrong_from_the_start_is_no_example_without_a_perturbation(attack: Any) -> None:
    x, y, _, model = linear_case(8, 4, 3)
    for perturbation, iteration in attack(model, x, 1 - y, **box(x)):
        found = iteration >= 0
        assert ((perturbation != 0).flatten(1).any(1) == found).all()


@every_attack
def test_the_model_and_the_input_are_left_as_they_were(attack: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(4, 4, 3)
    given_x = x.clone()
    result = attack(model, x, model(x).argmax(1), **box(x))
    assert torch.equal(x, given_x)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(tensor.requires_grad for example in result for tensor in example)


@every_attack
def test_an_empty_batch_gives_an_empty_result(attack: Any) -> None:
    _, _, _, model = linear_case(2, 4, 3)
    x = torch.zeros(0, 4, 3)
    result = attack(model, x, torch.zeros(0, dtype=torch.int64), **box(x))
    assert result.best.perturbation.shape == (0, 4, 3)
    assert result.first.iteration.shape == (0,)


@every_attack
def test_a_box_without_room_and_a_model_without_a_gradient_are_failures(attack: Any) -> None:
    x, y, _, model = linear_case(40, 4, 3)
    closed = attack(model, x, y, lower=x, upper=x)
    flat = attack(_flat, x, torch.zeros_like(y), **box(x))
    for example in (*closed, *flat):
        assert (example.iteration == -1).all()
        assert (example.perturbation == 0).all()


def _flat(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor([1.0, 0.0]) + 0 * x.sum((1, 2))[:, None]


@every_attack
def test_a_sample_that_the_model_cannot_read_fails_and_leaves_the_others_alone(attack: Any) -> None:
    x, y, model = two_layers(8, 4, 3, 0)

    def broken(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x[:, 0, 0] > 2)[:, None], torch.nan, model(x))

    strange = x.clone()
    strange[3, 0, 0] = 3
    others = [0, 1, 2, 4, 5, 6, 7]
    limits = {"lower": torch.zeros_like(x), "upper": torch.where(strange > 1, strange, 1)}
    limits["lower"][3, 0, 0] = 3
    whole, spoilt = attack(model, x, y, **box(x)), attack(broken, strange, y, **limits)
    assert int(spoilt.best.iteration[3]) == -1
    for clean, beside in zip(whole, spoilt, strict=True):
        assert torch.equal(clean.perturbation[others], beside.perturbation[others])
        assert torch.equal(clean.iteration[others], beside.iteration[others])


@every_attack
def test_no_pass_is_wasted_on_samples_that_are_done(attack: Any) -> None:
    """Twice the samples cost twice the passes: what is padded or left over is small."""
    x, y, model = two_layers(800, 6, 5, 0)
    passes = []
    for n in (400, 800):
        counted: Counted = Counted(model)
        attack(counted, x[:n], y[:n], **box(x[:n]))
        passes.append(counted.forward / n)
    assert passes[1] == pytest.approx(passes[0], rel=0.2)


def test_each_objective_has_its_method() -> None:
    assert {
        o: method_for(o, "auto")
        for o in (
            "robust_l0",
            "sparsity",
            "max_num_nonzero_perts",
            "robust_l1",
            "sparse_small",
            "sparse_small_max",
        )
    } == {
        **dict.fromkeys(("robust_l0", "sparsity", "max_num_nonzero_perts"), "l0"),
        **dict.fromkeys(("robust_l1", "sparse_small", "sparse_small_max"), "l1"),
    }
    assert {method_for("robust_l1", name) for name in METHODS} == set(METHODS)
