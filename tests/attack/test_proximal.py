from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from icu_adversarial.attack.proximal import OPTIMIZERS, Result, proximal
from icu_adversarial.attack.quality import FLIP_MARGIN, NONZERO


def linear(weight: Tensor, bias: float) -> Callable[[Tensor], Tensor]:
    """Logits (-z, z) / 2 with z = weight . x + bias."""

    def logits(x: Tensor) -> Tensor:
        z = x.flatten(1) @ weight + bias
        return torch.stack([-z, z], 1) / 2

    return logits


def linear_case(batch: int, hours: int, channels: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """x, y, weight and logits of a linear model whose decisions are mixed."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(hours * channels, generator=generator)
    x = torch.rand(batch, hours, channels, generator=generator)
    model = linear(weight, -float(weight.sum()) / 2)
    return x, model(x).argmax(1), weight, model


def margins(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    z = model(x)
    return z[torch.arange(len(y)), y] - z[torch.arange(len(y)), 1 - y]


def smallest_l1(x: Tensor, y: Tensor, weight: Tensor, margin: Tensor) -> np.ndarray:
    """Fill the cells in the order of their weight, each up to the box, until the margin is used up: the optimum of a fractional knapsack."""
    results = []
    for xi, yi, need in zip(x.flatten(1).tolist(), y.tolist(), margin.tolist(), strict=True):
        total = 0.0
        for value, w in sorted(zip(xi, weight.tolist(), strict=True), key=lambda cell: -abs(cell[1])):
            room = 1 - value if (w > 0) == (yi == 0) else value
            step = min(room, need / abs(w))
            total, need = total + step, need - step * abs(w)
        results.append(total if need < 1e-9 else np.inf)
    return np.array(results)


def attack(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, **changes: object) -> Result:
    box = {"lower": torch.zeros_like(x), "upper": torch.ones_like(x)}
    values = {"optimizer": "sgd", "learning_rate": 0.005, "kappa": 0.005, "penalty": 1.0, "iterations": 600}
    return proximal(model, x, y, **(box | values | changes))


@pytest.mark.parametrize(("batch", "hours", "channels"), [(1, 6, 5), (7, 6, 5), (64, 12, 4)])
def test_l1_is_within_a_few_percent_of_the_optimum_of_a_linear_model(batch: int, hours: int, channels: int) -> None:
    x, y, weight, model = linear_case(batch, hours, channels, seed=1)
    best = attack(model, x, y).best
    size = best.perturbation.abs().sum((1, 2)).numpy()
    optimum = smallest_l1(x, y, weight, margins(model, x, y))
    assert (margins(model, torch.clamp(x + best.perturbation, 0, 1), y) < 0).all()
    assert (size >= optimum * (1 - 1e-5)).all()
    assert (size <= 1.05 * optimum + 0.005).all()  # 0.005: one step past the boundary


def test_a_slow_reference_for_one_sample_agrees() -> None:
    """Plain gradient descent, written out for one sample in numpy."""
    x, y, weight, model = linear_case(5, 4, 3)
    result = attack(model, x, y, kappa=0.1, penalty=0.3, learning_rate=0.01, iterations=80)
    for i in range(len(x)):
        slope = weight.numpy().reshape(4, 3).astype(float) * (1 if y[i] == 1 else -1)
        start, p = x[i].numpy().astype(float), np.zeros((4, 3))
        margin0 = float(margins(model, x, y)[i])
        first = best = (-1, np.zeros((4, 3)))
        lowest = np.inf
        for iteration in range(1, 81):
            if margin0 + (slope * p).sum() >= -0.1:
                p = p - 0.01 * slope
            p = np.sign(p) * np.maximum(np.abs(p) - 0.01 * 0.3, 0)
            p = np.clip(start + p, 0, 1) - start
            margin = margin0 + (slope * p).sum()
            if margin < FLIP_MARGIN and np.abs(p).sum() > 0:
                first = (iteration, p) if first[0] < 0 else first
                objective = max(margin, -0.1) + 0.3 * np.abs(p).sum()
                best, lowest = ((iteration, p), objective) if objective < lowest - 1e-6 else (best, lowest)
        assert int(result.first.iteration[i]) == first[0] > 0
        assert result.first.perturbation[i].numpy() == pytest.approx(first[1], abs=1e-5)
        assert result.best.perturbation[i].numpy() == pytest.approx(best[1], abs=1e-3)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(sorted(OPTIMIZERS)),
    st.floats(1e-5, 1),
    st.floats(0, 2),
    st.floats(1e-7, 1),
    st.integers(0, 100),
)
def test_every_example_obeys_the_rules(optimizer: str, learning_rate: float, kappa: float, penalty: float, seed: int) -> None:
    x, y, _, model = linear_case(9, 3, 4, seed)
    frozen = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 0.4
    lower, upper = torch.where(frozen, x, 0), torch.where(frozen, x, 1)
    settings = {"optimizer": optimizer, "learning_rate": learning_rate, "kappa": kappa, "penalty": penalty, "iterations": 15}
    result = attack(model, x, y, lower=lower, upper=upper, **settings)
    for perturbation, iteration in result:
        found = iteration > 0
        assert ((iteration == -1) | ((iteration >= 1) & (iteration <= 15))).all()
        assert (perturbation[frozen] == 0).all()
        assert (perturbation[~found] == 0).all()
        assert ((perturbation == 0) | (perturbation.abs() > NONZERO)).all()
        assert (perturbation[found].abs().sum((1, 2)) > 0).all()
        assert (x + perturbation >= -1e-6).all()
        assert (x + perturbation <= 1 + 1e-6).all()
        assert (margins(model, torch.clamp(x + perturbation, lower, upper), y)[found] < FLIP_MARGIN).all()
    assert torch.equal(result.first.iteration > 0, result.best.iteration > 0)
    assert (result.first.iteration <= result.best.iteration).all()

    def objective(p: Tensor) -> Tensor:
        return margins(model, torch.clamp(x + p, lower, upper), y).clamp(min=-kappa) + penalty * p.abs().sum((1, 2))

    found = result.best.iteration > 0
    assert (objective(result.best.perturbation) <= objective(result.first.perturbation) + 1e-6)[found].all()


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("sgd", 0.01), ("adam", 0.01), ("rmsprop", 0.001)])
def test_the_first_example_is_the_earliest_and_the_search_goes_on(optimizer: str, learning_rate: float) -> None:
    x, y, _, model = linear_case(1, 4, 3, seed=3)
    choices = {"optimizer": optimizer, "learning_rate": learning_rate, "kappa": 0.5, "penalty": 0.2}
    result = attack(model, x, y, **choices, iterations=60)
    step = int(result.first.iteration)
    assert 1 < step < int(result.best.iteration)
    assert int(attack(model, x, y, **choices, iterations=step - 1).first.iteration) == -1
    again = attack(model, x, y, **choices, iterations=step).first
    assert int(again.iteration) == step
    assert torch.equal(again.perturbation, result.first.perturbation)


def test_a_larger_kappa_goes_further_past_the_boundary() -> None:
    x, y, _, model = linear_case(16, 4, 3)
    reached = []
    for kappa in (0.1, 0.6):
        best = attack(model, x, y, kappa=kappa, penalty=1e-4, learning_rate=0.01, iterations=300).best
        reached.append(margins(model, torch.clamp(x + best.perturbation, 0, 1), y))
    assert (reached[0] <= -0.099).all()
    assert (reached[1] <= -0.599).all()


def test_a_prohibitive_penalty_finds_nothing() -> None:
    x, y, weight, model = linear_case(8, 4, 3)
    result = attack(model, x, y, penalty=float(weight.abs().max()) * 1.01)
    assert (result.best.iteration == -1).all()
    assert (result.first.perturbation == 0).all()


def test_small_steps_add_up_although_cells_below_the_limit_count_as_zero() -> None:
    x = torch.full((1, 1, 2), 0.5)
    model = linear(torch.tensor([0.05, 0.0]), -0.025 - 5e-6)
    y = model(x).argmax(1)
    result = attack(model, x, y, learning_rate=1e-5, penalty=1e-7, kappa=1e-3, iterations=2500)  # 5e-7 a step
    assert result.best.perturbation[0, 0, 0] > 1e-3
    assert result.best.perturbation[0, 0, 1] == 0


def test_a_margin_within_rounding_of_the_boundary_is_not_trusted() -> None:
    """With kappa = 1e-5 the descent ends at a margin of -1e-5: another machine may see it on the other side."""
    x = torch.full((1, 1, 1), 0.5)
    model = linear(torch.tensor([0.05]), -0.025 - 5e-6)
    y = model(x).argmax(1)
    found = [int(attack(model, x, y, learning_rate=1e-3, penalty=1e-7, kappa=kappa, iterations=60).first.iteration) for kappa in (1e-5, 1e-3)]
    assert found[0] == -1 < found[1]


def test_what_is_wrong_from_the_start_is_no_example_without_a_perturbation() -> None:
    x, y, weight, model = linear_case(8, 4, 3)
    result = attack(model, x, 1 - y, kappa=0.0, penalty=float(weight.abs().max()) * 1.01)
    assert (result.first.iteration == -1).all()


def test_the_model_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(4, 4, 3)
    given = x.clone()
    result = attack(model, x, model(x).argmax(1), iterations=5)
    assert torch.equal(x, given)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(tensor.requires_grad for example in result for tensor in example)


def test_an_empty_batch_gives_an_empty_result() -> None:
    _, _, _, model = linear_case(2, 4, 3)
    result = attack(model, torch.zeros(0, 4, 3), torch.zeros(0, dtype=torch.int64), iterations=3)
    assert result.best.perturbation.shape == (0, 4, 3)
    assert result.first.iteration.shape == (0,)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_sample_of_nans_fails_and_leaves_the_others_alone(optimizer: str) -> None:
    x, y, _, model = linear_case(8, 4, 3)
    broken = x.clone()
    broken[3] = torch.nan
    others = [0, 1, 2, 4, 5, 6, 7]
    whole, spoilt = (attack(model, some, y, optimizer=optimizer, penalty=0.2, iterations=30) for some in (x, broken))
    assert int(spoilt.best.iteration[3]) == -1
    for clean, beside in zip(whole, spoilt, strict=True):
        assert torch.equal(clean.perturbation[others], beside.perturbation[others])
        assert torch.equal(clean.iteration[others], beside.iteration[others])
