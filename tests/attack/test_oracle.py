from typing import Any

import numpy as np
import pytest
import torch
from attack_models import Recurrent
from literature_set import NAMES
from model_world import VARIANTS, M, T
from torch import nn

from icu_adversarial.attack.api import LANES, margin_and_gradient, margins
from icu_adversarial.attack.ensemble import Ensemble, EnsembleScaling
from icu_adversarial.attack.oracle import AlignedLinear, for_attack
from icu_adversarial.config.params import load_params
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.model.networks.registry import build

CLOSE = 1e-5


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    """One of model_world.VARIANTS in evaluation mode, fitted on 60 stays, and the input of 40 others."""
    model = load_params().model.changed({"n_lstm": 24, "n_summary": 0} | VARIANTS[name])
    channels = M * (1 + len(model.extra_channels)) + len(model.static_inputs)
    torch.manual_seed(0)
    x = torch.rand(100, T, channels)
    x[..., M : 2 * M] = x[..., M : 2 * M].round()  # observed or not
    fitted = build(channels, len(model.static_inputs), model).eval()
    fitted.fit(x[40:])
    return fitted, x[:40]


def in_float64(
    network: nn.Module, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """margin_and_gradient with autograd alone."""
    values = x.double()[..., :M].requires_grad_()
    z = network.double()(torch.cat([values, x.double()[..., M:]], 2))
    margin = (z[:, 0] - z[:, 1]) * (1 - 2 * y)
    (gradient,) = torch.autograd.grad(margin.sum(), values)
    return margin.detach(), gradient


@pytest.mark.parametrize("name", VARIANTS)
def test_margin_and_gradient_are_those_of_autograd(name: str) -> None:
    model, x = network(name)
    y = torch.arange(40) % 2
    ours = margin_and_gradient(for_attack(model), x, y, torch.zeros(40, T, M))
    for found, expected in zip(ours, in_float64(model, x, y), strict=True):
        assert expected.abs().max() > 1e-3
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=CLOSE * float(expected.abs().max())
        )


@pytest.mark.parametrize("name", VARIANTS)
def test_a_forward_pass_alone_is_that_of_the_network_itself(name: str) -> None:
    """But for the order in which a linear layer adds, where zeros stand beside its inputs."""
    model, x = network(name)
    y = torch.zeros(40, dtype=torch.int64)
    found, expected = margins(for_attack(model), x, y, x[..., :M]), margins(model, x, y, x[..., :M])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_without_zeros_beside_its_inputs_a_forward_pass_has_the_bits_of_the_network() -> None:
    model, x, y = (
        Recurrent(M, LANES),
        torch.rand(40, T, M),
        torch.zeros(40, dtype=torch.int64),
    )  # a linear layer of 2 LANES
    assert torch.equal(margins(for_attack(model), x, y, x), margins(model, x, y, x))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_bits_of_a_stay_do_not_depend_on_its_place(name: str) -> None:
    model, x = network(name)
    fast, y, order = for_attack(model), torch.zeros(40, dtype=torch.int64), torch.randperm(40)
    shuffled = torch.empty(40)
    shuffled[order] = margins(fast, x[order], y, x[order][..., :M])
    assert torch.equal(shuffled, margins(fast, x, y, x[..., :M]))


@pytest.mark.parametrize("name", ["pooled_lstm", "summaries"])
def test_gradient_of_a_stay_is_the_same_in_any_batch(name: str) -> None:
    """To rounding. Whether the bits are the same too depends on the processor."""
    model, x = network(name)
    x, y, P = torch.cat([x] * 3), torch.zeros(120, dtype=torch.int64), torch.zeros(120, T, M)
    fast = for_attack(model)
    margin, gradient = margin_and_gradient(fast, x, y, P)
    for rows in (torch.arange(1), torch.arange(24), torch.arange(37), torch.randperm(120)):
        some = margin_and_gradient(fast, x[rows], y[rows], P[rows])
        torch.testing.assert_close(some[0], margin[rows], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(some[1], gradient[rows], rtol=1e-4, atol=1e-7)


def test_the_network_itself_stays_as_it_is() -> None:
    model, _ = network("lstm")
    fast: Any = for_attack(model.train())
    assert model.training
    assert isinstance(model.lstm, nn.LSTM)
    assert all(weight.requires_grad for weight in model.parameters())
    assert not fast.training
    assert not any(weight.requires_grad for weight in fast.parameters())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_dropout_of_a_recurrent_layer_is_off_in_every_mode(kind: type[nn.RNNBase]) -> None:
    layer = kind(3, 4, num_layers=2, dropout=0.5)
    fast = for_attack(nn.Sequential(layer)).train()
    x = torch.rand(5, 2, 3)
    assert torch.equal(fast(x)[0], fast(x)[0])
    assert layer.dropout == 0.5


def test_members_of_an_ensemble_are_prepared_too() -> None:
    models = [network("lstm")[0] for _ in range(2)]
    scaler = Scaler(
        NAMES,
        np.zeros(M, np.float32),
        np.ones(M, np.float32),
        np.full(M, 0.5, np.float32),
        "linear",
        "both",
        ("observed",),
    )
    fast = for_attack(Ensemble(models, EnsembleScaling([scaler, scaler])))
    assert not any(weight.requires_grad for weight in fast.parameters())
    layers = [m for m in fast.modules() if isinstance(m, nn.Linear)]
    assert len(layers) >= 2
    assert all(m.in_features % LANES == 0 or isinstance(m, AlignedLinear) for m in layers)
    assert any(isinstance(m, AlignedLinear) for m in layers)


class Transformer(nn.Module):
    """A network whose layers read the weights of other layers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(5, 1, 8, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.encoder(x).mean(1))
        return logits


def test_the_weights_and_hooks_of_a_layer_stay() -> None:
    torch.manual_seed(0)
    model, x = Transformer().eval(), torch.rand(4, 6, 5)
    model.head.register_forward_hook(lambda _module, _inputs, logits: 2 * logits)
    state = torch.random.get_rng_state()
    fast: Any = for_attack(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert isinstance(fast.head, AlignedLinear)
    assert type(model.head) is nn.Linear
    torch.testing.assert_close(fast(x), model(x), rtol=0, atol=1e-6)
    assert {name: w.shape for name, w in fast.state_dict().items()} == {
        name: w.shape for name, w in model.state_dict().items()
    }
