"""The entry for users of their own network, and the example of docs/attacks.md."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from attack_models import Recurrent, margins
from torch import Tensor, nn

from icu_adversarial.attack import find_examples
from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.allowed import ALLOWED, check_settings
from icu_adversarial.config.params import Params
from icu_adversarial.core.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"


def test_the_example_of_the_page_runs_and_flips_predictions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    torch.manual_seed(0)
    exec(code, {})
    flipped, cells = re.findall(
        r"(\d+) of 16 predictions flipped\nL1 of each: .*\nL0 of each: \[(.*)\]",
        capsys.readouterr().out,
    )[0]
    assert int(flipped) > 8
    assert all(1 <= int(number) < 48 * 19 / 2 for number in cells.split(","))


@pytest.mark.parametrize("method", ["l1", "l0", "prior", "sun"])
def test_every_method_flips_the_prediction_of_the_network_itself(method: str) -> None:
    network = Recurrent(5, 32)
    x = torch.rand(20, 6, 5, generator=torch.Generator().manual_seed(0))
    y = network.calibrate(x)
    network.train()
    first, best = find_examples(network, x, method=method)
    assert network.training
    flipped = best.iteration >= 0
    assert flipped.float().mean() > 0.9
    for example in (first, best):
        assert (margins(network, x + example.perturbation, y)[flipped] < 0).all()
        assert ((x + example.perturbation >= 0) & (x + example.perturbation <= 1)).all()


def test_the_box_and_the_settings_reach_the_method() -> None:
    network = Recurrent(5, 32)
    x = torch.rand(20, 6, 5, generator=torch.Generator().manual_seed(0))
    network.calibrate(x)
    movable = torch.tensor([True, True, True, False, False])
    lower, upper = torch.where(movable, 0.0, x), torch.where(movable, 1.0, x)
    free = find_examples(network, x).best
    fixed = find_examples(network, x, lower=lower, upper=upper, cap=0.25).best
    assert (free.perturbation[..., 3:] != 0).any()
    assert (fixed.perturbation[..., :3] != 0).any()
    assert (fixed.perturbation[..., 3:] == 0).all()
    assert fixed.perturbation.abs().max() <= 0.25 + 1e-6
    assert free.perturbation.abs().max() > 0.3


def test_y_is_the_class_to_leave() -> None:
    """A sample of the other class than y is no example, and is not attacked."""
    network = Recurrent(5, 32)
    x = torch.rand(20, 6, 5, generator=torch.Generator().manual_seed(0))
    y = network.calibrate(x)
    best = find_examples(network, x, torch.zeros_like(y)).best
    assert torch.equal(best.iteration >= 0, y == 0)


class Broken(nn.Module):
    """A network that does one thing wrong."""

    def __init__(self, wrong: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, x: Tensor) -> Any:
        return self.wrong(x)


def two(x: Tensor) -> Tensor:
    """Logits (-z, z) of the mean."""
    z = x.mean((1, 2)) - 0.5
    return torch.stack([-z, z], 1)


def of_a_later_weight(x: Tensor) -> Tensor:
    """Logits without a gradient with respect to x, but with one with respect to a weight."""
    return torch.ones(len(x), 2) * nn.Parameter(torch.ones(1))


NO_GRADIENT = "logits of the network have no gradient with respect to x"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.rand(6, 5)}, r"x is float32 \(6, 5\), expected float32 \(samples,"),
        ({"x": torch.rand(4, 6, 5).double()}, r"x is float64 \(4, 6, 5\)"),
        ({"x": torch.rand(4, 0, 5)}, r"x is float32 \(4, 0, 5\), expected float32 \(samples,"),
        ({"x": torch.rand(4, 6, 7)}, r"the network cannot read x, float32 \(4, 6, 7\): "),
        ({"x": torch.full((4, 6, 5), torch.nan)}, "NaN or outside lower and upper"),
        ({"upper": 0.1}, "NaN or outside lower and upper"),
        ({"lower": torch.zeros(3)}, r"lower is float32 \(3,\), expected a number or a tensor"),
        ({"lower": 0.5, "upper": 0.4}, "^lower is above upper in 120 of 120 cells$"),
        ({"lower": torch.tensor([0, 0, 0, 0, 2.0])}, "^lower is above upper in 24 of 120 cells$"),
        ({"upper": torch.nan}, "^upper has NaN values, expected numbers$"),
        ({"y": torch.zeros(5, dtype=torch.int64)}, r"y is int64 \(5,\), expected int64 \(4,\)"),
        ({"y": torch.full((4,), 2)}, r"expected int64 \(4,\) with values 0 and 1"),
        ({"method": "l2"}, "method is 'l2', expected one of prior, sun, l1, l0"),
        ({"network": nn.Linear(5, 2)}, r"returns float32 \(4, 6, 2\) for 4 samples"),
        ({"network": Broken(lambda x: two(x)[:, :1])}, r"returns float32 \(4, 1\) for 4 samples"),
        (
            {"network": Broken(lambda x: two(x)[:, 1])},
            r"float32 \(4,\) .*, expected logits \(4, 2\)",
        ),
        ({"network": Broken(lambda x: two(x)[:1])}, r"returns float32 \(1, 2\) for 4 samples"),
        ({"network": Broken(lambda x: two(x).long())}, r"returns int64 \(4, 2\) for 4 samples"),
        ({"network": Broken(lambda x: (two(x), x))}, r"returns a tuple, expected logits \(4, 2\)"),
        ({"network": Broken(lambda x: {"logits": two(x)})}, "the network returns a dict, expected"),
        ({"network": nn.LSTM(5, 2, batch_first=True)}, "the network returns a tuple, expected"),
        ({"network": Broken(lambda x: two(x) * torch.nan)}, "NaN or infinite logits for 4 of 4"),
        ({"network": Broken(lambda x: two(x) / 0)}, "NaN or infinite logits for 4 of 4 samples"),
        ({"network": Broken(lambda x: two(x.detach()))}, NO_GRADIENT),
        ({"network": Broken(of_a_later_weight)}, NO_GRADIENT),
        ({"network": Broken(lambda x: two(x - x.detach()).sqrt())}, "NaN or infinite logits"),
        (
            {
                "network": Broken(
                    lambda x: two(x) + (x - x.detach()).abs().sqrt().mean((1, 2))[:, None]
                )
            },
            "the gradient of the network is NaN or infinite for 4 of 4 samples",
        ),
        ({"network": Broken(lambda x: x["values"])}, "the network cannot read x, float32"),
        ({"network": Broken(lambda x: two(x).unknown)}, "cannot read x, .*no attribute 'unknown'"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(change: dict[str, Any], message: str) -> None:
    arguments = {"network": Recurrent(5, 8), "x": torch.rand(4, 6, 5)} | change
    with pytest.raises(InputError, match=message) as error:
        find_examples(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("network", [two, None, Recurrent])
def test_what_is_no_network_is_refused(network: Any) -> None:
    unchecked = inspect.unwrap(find_examples)  # without the type checks of the tests
    with pytest.raises(InputError, match=r"network is a \w+, expected a torch\.nn\.Module"):
        unchecked(network, torch.rand(4, 6, 5))


def test_a_network_that_cannot_be_copied_is_refused() -> None:
    network = Recurrent(5, 8)
    network.state = (network.head.weight * 2,)  # not a leaf of the graph
    with pytest.raises(InputError, match="the network cannot be copied: Only Tensors created"):
        find_examples(network, torch.rand(4, 6, 5))


WRONG = {
    "iterations": (0, -1, True),
    "cap": (0, -0.5, torch.nan, torch.inf, "wide", None, 10**400),
    "radius": (0.0, -1),
    "patience": (0, 2.5),
    "restarts": (-1, 8, 1.0),
    "supports": (-1, 5),
    "share": (0, 1.5),
    "candidates": (0, 1.5, "many"),
    "starts": (0, -3, 1001),
    "optimizer": ("adamw", None, ["adam"]),
    "learning_rate": (0, -1e-3),
    "kappa": (-0.1,),
    "penalty": (-1e-9, torch.tensor(0.1)),
}
RANGES = {
    "iterations": "a whole number from 1 to 1000000000",
    "cap": "a number above 0 and at most 1e+09",
    "radius": "a number above 0 and at most 1e+09",
    "patience": "a whole number from 1 to 1000000000",
    "restarts": "a whole number from 0 to 7",
    "supports": "a whole number from 0 to 4",
    "share": "a number above 0 and at most 1",
    "candidates": "a whole number from 1 to 1000000000",
    "starts": "a whole number from 1 to 1000",
    "optimizer": "one of adam, rmsprop, sgd",
    "learning_rate": "a number above 0 and at most 1e+09",
    "kappa": "a number from 0 to 1e+09",
    "penalty": "a number from 0 to 1e+09",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_out_of_its_range_is_refused_with_the_range(name: str) -> None:
    network, x = Recurrent(5, 8), torch.rand(4, 6, 5)
    methods = [m for m in ALLOWED if name in ALLOWED[m]] or list(ALLOWED)
    for method in methods:
        for value in WRONG[name]:
            with pytest.raises(InputError) as error:
                find_examples(network, x, method=method, **{name: value})
            assert str(error.value) == f"{name} is {value!r}, expected {RANGES[name]}"


def test_a_setting_that_a_method_does_not_have_is_refused_with_those_that_it_has() -> None:
    network, x = Recurrent(5, 8), torch.rand(4, 6, 5)
    for method, settings in ALLOWED.items():
        with pytest.raises(InputError) as error:
            find_examples(network, x, method=method, restart=3)
        expected = ", ".join(["iterations", *settings])
        assert str(error.value) == f"{method} has no setting restart, expected {expected}"


def test_every_setting_of_a_search_has_a_range_that_holds_its_values(params: Params) -> None:
    """What tune_attack may choose, and the default of the method itself."""
    assert set(ALLOWED) == set(METHODS)
    assert set(WRONG) == {"iterations"}.union(*ALLOWED.values()) == set(RANGES)
    for method, allowed in ALLOWED.items():
        space = getattr(params.tune_attack.space, method).model_dump()
        assert set(space) == set(allowed)
        parameters = inspect.signature(METHODS[method]).parameters
        for name, entry in space.items():
            values = [entry["low"], entry["high"]] if isinstance(entry, dict) else entry
            for value in (*values, parameters[name].default):
                check_settings(method, 1, {name: value})


@pytest.mark.parametrize("method", ["l1", "l0", "prior", "sun"])
def test_the_random_numbers_of_the_caller_stay_as_they_are(method: str) -> None:
    """Also with a network that draws some, and with linear layers that get zeros."""
    drawn = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.1), nn.Flatten(), nn.Linear(48, 2))
    network = Broken(lambda x: drawn(x) + torch.rand(1) * 1e-9)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    find_examples(network, torch.full((4, 6, 5), 0.5), method=method, iterations=2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_wide_box_needs_a_wide_cap() -> None:
    """Standardised values: the first cell must move by 3, which is more than the usual cap."""
    network = Broken(lambda x: two(3 * x[:, :1, :1] - 8.5))
    x = torch.zeros(4, 6, 5)
    assert (find_examples(network, x, lower=-5, upper=5).best.iteration < 0).all()
    for method in ("l1", "l0"):
        best = find_examples(network, x, method=method, lower=-5, upper=5, cap=4).best
        torch.testing.assert_close(
            best.perturbation[:, 0, 0], torch.full((4,), 3.0), atol=1e-3, rtol=0
        )


def test_an_attack_works_in_inference_mode() -> None:
    with torch.inference_mode():
        network, x = Recurrent(5, 16), torch.rand(4, 6, 5)
        network.calibrate(x)
        found = find_examples(network, x, restarts=0, supports=0).best
    assert (found.iteration > 0).any()
    expected = find_examples(network, x, restarts=0, supports=0).best
    assert torch.equal(found.perturbation, expected.perturbation)


def test_no_samples_give_no_examples() -> None:
    best = find_examples(Recurrent(5, 8), torch.zeros(0, 6, 5)).best
    assert best.perturbation.shape == (0, 6, 5)
