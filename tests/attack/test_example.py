"""The entry for users of their own network, and the example of docs/attacks.md."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from attack_models import Recurrent, margins

from icu_adversarial.attack import find_examples
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.rand(6, 5)}, r"x is float32 \(6, 5\), expected float32 \(samples,"),
        ({"x": torch.rand(4, 6, 5).double()}, r"x is float64 \(4, 6, 5\)"),
        ({"x": torch.rand(4, 6, 7)}, r"the network cannot read x, float32 \(4, 6, 7\): "),
        ({"x": torch.full((4, 6, 5), torch.nan)}, "NaN or outside lower and upper"),
        ({"upper": 0.1}, "NaN or outside lower and upper"),
        ({"lower": torch.zeros(3)}, r"lower is float32 \(3,\), expected a number or a tensor"),
        ({"y": torch.zeros(5, dtype=torch.int64)}, r"y is int64 \(5,\), expected int64 \(4,\)"),
        ({"y": torch.full((4,), 2)}, r"expected int64 \(4,\) with values 0 and 1"),
        ({"method": "l2"}, "method is 'l2', expected one of prior, sun, l1, l0"),
        ({"network": torch.nn.Linear(5, 2)}, r"returns float32 \(4, 6, 2\) for 4 samples"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(change: dict[str, Any], message: str) -> None:
    arguments = {"network": Recurrent(5, 8), "x": torch.rand(4, 6, 5)} | change
    with pytest.raises(InputError, match=message) as error:
        find_examples(**arguments)
    assert "\n" not in str(error.value)
