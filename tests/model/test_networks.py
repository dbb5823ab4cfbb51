from pathlib import Path

import numpy as np
import pytest
import torch

from icu_adversarial.errors import InputError
from icu_adversarial.model.networks import build, load_model, save_model

HYPERPARAMETERS = {"n_lstm": 8, "lstm_activation": "tanh", "dropout": 0.3, "n_fc": 4, "fc_activation": "relu"}
C, T = 19, 12


def make(**changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(C, HYPERPARAMETERS | changes).eval()


def reference(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """The network again, hour by hour, from the LSTM equations of torch's documentation."""
    w = {name: p.detach().double().numpy() for name, p in network.named_parameters()}

    def sigmoid(v: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-v))

    def last_state(suffix: str, hours: range) -> np.ndarray:
        h = c = np.zeros((len(x), 8))
        for t in hours:
            gates = x[:, t] @ w[f"lstm.weight_ih_l0{suffix}"].T + w[f"lstm.bias_ih_l0{suffix}"]
            gates = gates + h @ w[f"lstm.weight_hh_l0{suffix}"].T + w[f"lstm.bias_hh_l0{suffix}"]
            i, f, g, o = np.split(gates, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        return h

    read_out = np.concatenate([last_state("", range(T)), last_state("_reverse", range(T - 1, -1, -1))], axis=1)
    hidden = np.maximum(np.tanh(read_out) @ w["hidden.2.weight"].T + w["hidden.2.bias"], 0)
    return hidden @ w["output.weight"].T + w["output.bias"]


def test_network_is_the_equations() -> None:
    network, x = make(), np.random.default_rng(0).random((3, T, C))
    with torch.no_grad():
        ours = network(torch.tensor(x, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(ours, reference(network, x), atol=1e-5)


@pytest.mark.parametrize("hour", [0, T - 1])
def test_reading_the_backward_lstm_at_the_last_hour_is_ruled_out(hour: int) -> None:
    """A change of the first hour must reach the logits through the backward direction as strongly as one of the last through the forward one."""
    network, x = make(), torch.rand(1, T, C)
    changed = x.clone()
    changed[:, hour] += 1
    assert (network(changed) - network(x)).abs().max() > 1e-3
    direction = network.lstm.weight_hh_l0_reverse if hour == 0 else network.lstm.weight_hh_l0
    assert torch.autograd.grad(network(x).sum(), direction)[0].abs().max() > 0


def test_an_unfilled_value_is_read_as_zero() -> None:
    """And takes no gradient: what is not observed cannot be moved."""
    network, x = make(), torch.rand(2, T, C)
    missing = torch.rand(2, T, C) < 0.5
    unfilled = x.masked_fill(missing, torch.nan).requires_grad_()
    z = network(unfilled)
    torch.testing.assert_close(z, network(x.masked_fill(missing, 0)), rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(z.sum(), unfilled)
    assert (gradient[missing] == 0).all()
    assert (gradient[~missing] != 0).any()


def test_softmax_before_cross_entropy_is_ruled_out() -> None:
    """The network returns logits: their sum is not 1 and they are not confined to [0, 1]."""
    network = make()
    with torch.no_grad():
        network.output.weight.mul_(50)
        z = network(torch.rand(64, T, C))
    assert z.min() < 0 or z.max() > 1
    assert (z.sum(dim=1) - 1).abs().max() > 0.1


def test_folded_threshold_decides_by_argmax() -> None:
    network, x = make(), torch.rand(200, T, C)
    with torch.no_grad():
        before = network(x)
        log_odds = before[:, 1] - before[:, 0]
        threshold = float(log_odds.median())
        network.fold_threshold(threshold)
        after = network(x)
    clear = (log_odds - threshold).abs() > 1e-5
    assert torch.equal((log_odds > threshold)[clear], (after.argmax(dim=1) == 1)[clear])
    assert torch.equal(before[:, 0], after[:, 0])


def test_saved_and_loaded_network_gives_the_same_bits(tmp_path: Path) -> None:
    network, x = make(), torch.rand(5, T, C)
    save_model(tmp_path, network, C, HYPERPARAMETERS, {"threshold": 0.5})
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded(x), network(x))
    first = (tmp_path / "model.safetensors").read_bytes()
    save_model(tmp_path, network, C, HYPERPARAMETERS, {"threshold": 0.5})
    assert (tmp_path / "model.safetensors").read_bytes() == first


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path) -> None:
    save_model(tmp_path, make(), C, HYPERPARAMETERS | {"n_lstm": 16}, {})
    with pytest.raises(InputError, match=r"model\.safetensors does not hold the network of model\.json") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)
