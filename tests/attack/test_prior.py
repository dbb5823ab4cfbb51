import numpy as np
import pytest
import torch
from attack_models import box, linear, linear_case, margins
from hypothesis import given, settings
from hypothesis import strategies as st

from icu_adversarial.attack.algorithms.prior import OPTIMIZERS, prior
from icu_adversarial.attack.api import FLIP_MARGIN, NONZERO, Result


def attack(model: object, x: torch.Tensor, y: torch.Tensor, **changes: object) -> Result:
    values = {
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "kappa": 0.1,
        "penalty": 1e-3,
        "iterations": 80,
    }
    return prior(model, x, y, **(box(x) | values | changes))


def test_a_slow_reference_for_one_sample_agrees() -> None:
    """The update of lstm_adversarial_attack, written out for one sample in numpy: threshold lambda, penalty gradient, largest column sum."""
    x, y, weight, model = linear_case(5, 4, 3)
    result = attack(model, x, y)
    for i in range(len(x)):
        slope = weight.numpy().reshape(4, 3).astype(float) * (1 if y[i] == 1 else -1)
        start, p = x[i].numpy().astype(float), np.zeros((4, 3))
        margin0 = float(margins(model, x, y)[i])
        first = best = (-1, np.zeros((4, 3)))
        lowest = np.inf
        for iteration in range(81):
            margin = margin0 + (slope * p).sum()
            columns = np.abs(p).sum(0)
            if margin < FLIP_MARGIN and np.abs(p).sum() > 0:
                first = (iteration, p) if first[0] < 0 else first
                objective = max(margin, -0.1) + 1e-3 * columns.max()
                best, lowest = (
                    ((iteration, p), objective) if objective < lowest - 1e-7 else (best, lowest)
                )
            gradient = slope * (margin >= -0.1)
            gradient[:, columns.argmax()] += 1e-3 * np.sign(p[:, columns.argmax()])
            p = p - 0.01 * gradient
            p = np.sign(p) * np.maximum(np.abs(p) - 1e-3, 0)
            p = np.clip(start + p, 0, 1) - start
        assert int(result.first.iteration[i]) == first[0] > 0
        assert result.first.perturbation[i].numpy() == pytest.approx(first[1], abs=1e-5)
        assert result.best.perturbation[i].numpy() == pytest.approx(best[1], abs=3e-3)


def test_the_threshold_does_not_scale_with_the_step() -> None:
    """With a learning rate of 1e-3 no step exceeds a threshold of 0.01: nothing ever moves, where the textbook's step would."""
    x, y, weight, model = linear_case(8, 4, 3)
    assert float(weight.abs().max()) * 1e-3 < 0.01
    assert (
        attack(model, x, y, learning_rate=1e-3, penalty=0.01, iterations=300).best.iteration == -1
    ).all()


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(sorted(OPTIMIZERS)),
    st.floats(1e-5, 1),
    st.floats(0, 2),
    st.floats(1e-7, 1),
    st.integers(0, 100),
)
def test_the_best_has_the_lowest_objective(
    optimizer: str, learning_rate: float, kappa: float, penalty: float, seed: int
) -> None:
    x, y, _, model = linear_case(9, 3, 4, seed)
    choices = {
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "kappa": kappa,
        "penalty": penalty,
        "iterations": 15,
    }
    result = attack(model, x, y, **choices)
    assert torch.equal(result.first.iteration > 0, result.best.iteration > 0)
    assert (result.first.iteration <= result.best.iteration).all()

    def objective(p: torch.Tensor) -> torch.Tensor:
        return margins(model, x + p, y).clamp(min=-kappa) + penalty * p.abs().sum(1).amax(1)

    found = result.best.iteration > 0
    assert (objective(result.best.perturbation) <= objective(result.first.perturbation) + 1e-6)[
        found
    ].all()


@pytest.mark.parametrize(
    ("optimizer", "learning_rate"), [("sgd", 0.01), ("adam", 0.01), ("rmsprop", 0.001)]
)
def test_the_first_example_is_the_earliest_and_the_search_goes_on(
    optimizer: str, learning_rate: float
) -> None:
    x, y, _, model = linear_case(1, 4, 3, seed=3)
    choices = {
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "kappa": 0.5,
        "penalty": 1e-4,
    }
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
        best = attack(model, x, y, kappa=kappa, penalty=1e-4, iterations=300).best
        reached.append(margins(model, x + best.perturbation, y))
    assert (reached[0] <= -0.099).all()
    assert (reached[1] <= -0.599).all()


def test_small_steps_add_up_although_cells_below_the_limit_count_as_zero() -> None:
    x = torch.full((1, 1, 2), 0.5)
    model = linear(torch.tensor([0.05, 0.0]), -0.025 - 5e-6)
    y = model(x).argmax(1)
    result = attack(
        model, x, y, learning_rate=1e-5, penalty=1e-9, kappa=1e-3, iterations=2500
    )  # 5e-7 a step
    assert result.best.perturbation[0, 0, 0] > 10 * NONZERO
    assert result.best.perturbation[0, 0, 1] == 0
