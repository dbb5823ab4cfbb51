from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from literature_set import M
from model_world import MODEL, VARIANTS
from torch import nn

from icu_adversarial.config.model import Architecture
from icu_adversarial.core.errors import InputError
from icu_adversarial.model.networks.base import Network
from icu_adversarial.model.networks.registry import ARCHITECTURES, build
from icu_adversarial.model.networks.storage import load_model, save_model

T, H = 12, MODEL.n_lstm
STATICS = 3
LSTM_VARIANTS = [name for name in VARIANTS if name != "gru_d"]


def width(model: dict[str, Any], statics: int = STATICS) -> int:
    return M * (1 + len(model.extra_channels)) + statics


def make(name: str = "lstm", statics: int = STATICS, **changes: object) -> Network:
    """Of VARIANTS, fitted on random stays."""
    torch.manual_seed(0)
    model = MODEL.changed(VARIANTS[name] | changes)
    network = build(width(model, statics), statics, model)
    network.fit(torch.from_numpy(make_x(name, 50, statics)))
    return network.eval()


def make_x(name: str = "lstm", stays: int = 3, statics: int = STATICS, seed: int = 0) -> np.ndarray:
    """Model input with all cells filled: values, then for GRU-D their masks and the hours since as a share of the window, static inputs."""
    rng = np.random.default_rng(seed)
    x = rng.random((stays, T, width(MODEL.changed(VARIANTS[name]), statics)), np.float32)
    x[..., x.shape[2] - statics :] = rng.random((stays, 1, statics))
    if len(MODEL.changed(VARIANTS[name]).extra_channels) == 2:
        seen = rng.random((stays, T, M)) < 0.4
        seen[0, :, 3] = False  # never observed
        x[..., M : 2 * M] = seen
        for stay, t, j in np.ndindex(stays, T, M):
            before = np.flatnonzero(seen[stay, : t + 1, j])
            x[stay, t, 2 * M + j] = (t - before[-1]) / T if len(before) else 1
    return x


def weights(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().double().numpy() for name, p in network.state_dict().items()}


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


def slow_head(w: dict[str, np.ndarray], read_out: np.ndarray, statics: np.ndarray) -> np.ndarray:
    """From the read-out of every stay to its logits; with a fully connected layer if there are weights of one."""
    hidden = np.tanh(np.concatenate([read_out, statics], axis=1))
    if "hidden.2.weight" in w:
        hidden = np.maximum(hidden @ w["hidden.2.weight"].T + w["hidden.2.bias"], 0)
    return hidden @ w["output.weight"].T + w["output.bias"]


def slow_lstm(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Hour by hour, from the LSTM equations of torch's documentation: the states (N, T, 2 H) of both directions, each at its hour."""

    def states(suffix: str, hours: range) -> np.ndarray:
        h = c = np.zeros((len(x), H))
        found = np.empty((len(x), T, H))
        for t in hours:
            gates = x[:, t] @ w[f"lstm.weight_ih_l0{suffix}"].T + w[f"lstm.bias_ih_l0{suffix}"]
            gates = gates + h @ w[f"lstm.weight_hh_l0{suffix}"].T + w[f"lstm.bias_hh_l0{suffix}"]
            i, f, g, o = np.split(gates, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = found[:, t] = sigmoid(o) * np.tanh(c)
        return found

    return np.concatenate([states("", range(T)), states("_reverse", range(T - 1, -1, -1))], axis=2)


def slow_conv(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Three hours at a time, nothing before the first and after the last."""
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    hours = [
        sum(padded[:, t + d] @ w["conv.weight"][:, :, d].T for d in range(3)) + w["conv.bias"]
        for t in range(T)
    ]
    return np.maximum(np.stack(hours, axis=1), 0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_network_has_one_pair_of_logits_per_stay_whatever_its_neighbours(name: str) -> None:
    network, x = make(name), torch.from_numpy(make_x(name, 5))
    assert network(x).shape == (5, 2)
    torch.testing.assert_close(network(x[2:3]), network(x)[2:3])


@pytest.mark.parametrize("name", LSTM_VARIANTS)
def test_network_is_the_equations(name: str) -> None:
    network, x = make(name), make_x(name)
    w, read = weights(network), x.astype(float)
    pooled = VARIANTS[name].get("architecture") == "pooled_lstm"
    if pooled:
        read[..., :M] = 10 * read[..., :M] - 5
    states = slow_lstm(w, slow_conv(w, read) if "conv.weight" in w else read)
    read_out = [states[:, -1, :H], states[:, 0, H:]]
    if pooled:
        read_out.append(states.mean(1))
    expected = slow_head(w, np.concatenate(read_out, axis=1), x[:, 0, -STATICS:])
    with torch.no_grad():
        ours = network(torch.from_numpy(x)).numpy()
        if network.summary is not None:
            beside = network.summary(
                *(
                    torch.from_numpy(part)
                    for part in (x[..., :M], x[..., M : 2 * M], x[:, 0, -STATICS:])
                )
            )
            expected = (expected + beside.numpy()) / 2
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_gru_d_is_the_equations_stay_by_stay_and_hour_by_hour() -> None:
    """Che et al. 2018; gaps are counted from the masks, and an unobserved value is never looked at."""
    network, x = make("gru_d"), make_x("gru_d")
    with torch.no_grad():
        network.value_decay[0] = torch.rand(M) * 3
        network.value_decay[1] = torch.rand(M) - 0.5
    w = weights(network)

    def slow(stay: np.ndarray) -> np.ndarray:
        values, seen, statics = stay[:, :M], stay[:, M : 2 * M] == 1, stay[0, -STATICS:]
        h = np.zeros(H)
        for t in range(T):
            gap, value = np.zeros(M), np.empty(M)
            for j in range(M):
                before = [s for s in range(t) if seen[s, j]]
                if t > 0:
                    gap[j] = (t - before[-1]) / T if before else 1 + 1 / T
                keep = np.exp(-max(0, w["value_decay"][0, j] * gap[j] + w["value_decay"][1, j]))
                last = values[before[-1], j] if before else w["mean"][j]
                value[j] = values[t, j] if seen[t, j] else keep * last + (1 - keep) * w["mean"][j]
            h = h * np.exp(-np.maximum(0, w["state_decay.weight"] @ gap + w["state_decay.bias"]))
            into = (
                w["cell.weight_ih"] @ np.concatenate([value, seen[t], statics]) + w["cell.bias_ih"]
            )
            back = w["cell.weight_hh"] @ h + w["cell.bias_hh"]
            (r, z, n), (r_, z_, n_) = np.split(into, 3), np.split(back, 3)
            new = np.tanh(n + sigmoid(r + r_) * n_)
            h = (1 - sigmoid(z + z_)) * new + sigmoid(z + z_) * h
        return slow_head(w, h[None], statics[None])[0]

    with torch.no_grad():
        ours = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, [slow(stay) for stay in x.astype(float)], atol=1e-5)


def test_gru_d_ignores_filled_values() -> None:
    x = make_x("gru_d")
    filled = x.copy()
    filled[..., :M][x[..., M : 2 * M] == 0] = 0.123
    unfilled = np.where(filled == np.float32(0.123), np.float32(np.nan), filled)
    found = []
    for content in (x, filled, unfilled):
        network = make("gru_d")
        network.fit(torch.from_numpy(content))
        found.append(network(torch.from_numpy(content)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_gru_d_decays_to_the_mean_of_the_observed_values() -> None:
    x = np.zeros((2, T, 3 * M), np.float32)
    x[0, :3, 5], x[1, 0, 5] = [0.2, 0.4, 0.9], 0.6
    x[0, :2, M + 5] = x[1, 0, M + 5] = 1  # the 0.9 is filled
    network = make("gru_d", statics=0)
    network.fit(torch.from_numpy(x))
    mean = network.get_buffer("mean").numpy()
    assert mean[5] == pytest.approx((0.2 + 0.4 + 0.6) / 3)
    assert (np.delete(mean, 5) == 0).all()


def test_training_hides_whole_measurements_as_if_never_observed() -> None:
    seen: list[torch.Tensor] = []
    network = make("pooled_lstm", architecture="lstm").train()
    network.lstm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.from_numpy(make_x("pooled_lstm", 400))
    network(x)
    network.eval()(x)
    trained, evaluated = seen
    assert torch.equal(evaluated, x)
    hidden = (trained != x).any(1)[:, :M]
    assert 0.25 < hidden.float().mean() < 0.35
    assert hidden.any(0).all()
    values, observed, since, statics = torch.split(trained, [M, M, M, STATICS], 2)
    fitted_on = np.sort(make_x("pooled_lstm", 50)[..., :M].reshape(-1, M), axis=0)
    median = torch.from_numpy(fitted_on[(len(fitted_on) - 1) // 2]).expand_as(values)
    rows = hidden[:, None].expand_as(values)
    assert torch.equal(values[rows], median[rows])
    assert (observed[rows] == 0).all()
    assert (since[rows] == 1).all()
    assert torch.equal(trained[..., :M][~rows], x[..., :M][~rows])
    assert torch.equal(statics, x[..., 3 * M :])


def test_both_networks_learn_for_themselves_and_from_the_same_measurements() -> None:
    network = make("summaries", measurement_dropout=0.3, dropout=0.0).train()
    x, y = torch.from_numpy(make_x("summaries", 40)), torch.arange(40) % 2
    read: list[tuple[torch.Tensor, ...]] = []
    network.summary.register_forward_pre_hook(lambda _, inputs: read.append(inputs))
    states: list[torch.Tensor] = []
    network.lstm.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    own = next(network.summary.parameters())
    (gradient,) = torch.autograd.grad(network.loss(x, y), own)
    values, observed, statics = read[0]
    assert torch.equal(observed, states[0][..., M : 2 * M])
    hidden = (observed == 0).all(1) & (x[..., M : 2 * M] > 0).any(1)
    assert 0.2 < hidden.float().mean() < 0.4
    (alone,) = torch.autograd.grad(
        nn.functional.cross_entropy(network.summary(values, observed, statics), y), own
    )
    torch.testing.assert_close(gradient, alone / 2)  # half of the mean of two losses


@pytest.mark.parametrize("name", VARIANTS)
def test_loss_is_the_cross_entropy_of_one_network_and_more_than_that_of_the_mean_of_two(
    name: str,
) -> None:
    network, x, y = make(name), torch.from_numpy(make_x(name, 9)), torch.arange(9) % 2
    z = network(x)
    together = nn.functional.cross_entropy(z, y)
    if network.summary is None:
        assert torch.equal(network.loss(x, y), together)
    else:
        assert network.loss(x, y) > together  # convex: two that differ lose more than their mean


@pytest.mark.parametrize("name", LSTM_VARIANTS)
@pytest.mark.parametrize("hour", [0, T - 1])
def test_reading_the_backward_lstm_at_the_last_hour_is_ruled_out(name: str, hour: int) -> None:
    """A change of the first hour must reach the logits through the backward direction, one of the last hour through the forward one."""
    network, x = make(name), torch.from_numpy(make_x(name, 1))
    changed = x.clone()
    changed[:, hour, :M] = (changed[:, hour, :M] + 0.4) % 1
    assert (network(changed) - network(x)).abs().max() > 1e-3
    direction = network.lstm.weight_hh_l0_reverse if hour == 0 else network.lstm.weight_hh_l0
    assert torch.autograd.grad(network(x).sum(), direction)[0].abs().max() > 0


@pytest.mark.parametrize("hour", [0, T - 1])
def test_both_ends_of_the_window_reach_gru_d(hour: int) -> None:
    network, x = make("gru_d"), torch.from_numpy(make_x("gru_d", 1))
    x[:, :, M : 2 * M], x[:, :, 2 * M : 3 * M] = 1, 0
    changed = x.clone()
    changed[:, hour, :M] = 1 - changed[:, hour, :M]
    assert (network(changed) - network(x)).abs().max() > 1e-5


@pytest.mark.parametrize("name", VARIANTS)
def test_static_inputs_reach_the_head_past_the_recurrence(name: str) -> None:
    network, x = make(name), torch.from_numpy(make_x(name, 2))
    for part in (network.cell if name == "gru_d" else network.lstm).parameters():
        part.data.zero_()
    network.summary = None
    changed = x.clone()
    changed[:, :, :M] = 1 - changed[:, :, :M]
    assert torch.equal(network(changed), network(x))
    changed[:, :, -STATICS:] += 1
    assert (network(changed) - network(x)).abs().amax(1).min() > 1e-3


def test_without_a_fully_connected_layer_the_head_is_one_linear_map() -> None:
    assert [type(layer) for layer in make("conv").hidden] == [nn.Tanh, nn.Dropout]
    assert make("conv").output.in_features == 2 * H + STATICS
    assert make("lstm").output.in_features == MODEL.n_fc


@pytest.mark.parametrize("name", VARIANTS)
def test_an_unfilled_value_is_read_as_zero(name: str) -> None:
    """And takes no gradient: what is not observed cannot be moved."""
    network, x = make(name), torch.from_numpy(make_x(name, 2))
    torch.manual_seed(1)
    missing = torch.zeros(x.shape, dtype=torch.bool)
    missing[..., :M] = torch.rand(2, T, M) < 0.5
    unfilled = x.masked_fill(missing, torch.nan).requires_grad_()
    z = network(unfilled)
    torch.testing.assert_close(z, network(x.masked_fill(missing, 0)), rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(z[:, 1].sum(), unfilled)
    assert (gradient[missing] == 0).all()
    assert (gradient[..., :M][~missing[..., :M]] != 0).any()


def test_softmax_before_cross_entropy_is_ruled_out() -> None:
    """The network returns logits: their sum is not 1 and they are not confined to [0, 1]."""
    network = make()
    with torch.no_grad():
        network.output.weight.mul_(50)
        z = network(torch.from_numpy(make_x(stays=64)))
    assert z.min() < 0 or z.max() > 1
    assert (z.sum(dim=1) - 1).abs().max() > 0.1


@pytest.mark.parametrize("name", VARIANTS)
def test_folded_threshold_decides_by_argmax(name: str) -> None:
    network, x = make(name), torch.from_numpy(make_x(name, 60))
    with torch.no_grad():
        before = network(x)
        log_odds = before[:, 1] - before[:, 0]
        threshold = float(log_odds.median())
        network.fold_threshold(threshold)
        after = network(x)
    clear = (log_odds - threshold).abs() > 1e-5
    assert torch.equal((log_odds > threshold)[clear], (after.argmax(dim=1) == 1)[clear])
    assert torch.equal(before[:, 0], after[:, 0])


@pytest.mark.parametrize("name", VARIANTS)
def test_saved_and_loaded_network_gives_the_same_bits(tmp_path: Path, name: str) -> None:
    network, x, model = make(name), torch.from_numpy(make_x(name, 5)), MODEL.changed(VARIANTS[name])
    save_model(tmp_path, network, x.shape[2], model, {"threshold": 0.5})
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded(x), network(x))
    first = (tmp_path / "model.safetensors").read_bytes()
    save_model(tmp_path, network, x.shape[2], model, {"threshold": 0.5})
    assert (tmp_path / "model.safetensors").read_bytes() == first


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path) -> None:
    network, x = make(), make_x()
    save_model(tmp_path, network, x.shape[2], MODEL.changed({"n_lstm": 16}), {})

    def refused() -> None:
        with pytest.raises(
            InputError, match=r"model\.safetensors does not hold the network of model\.json"
        ) as error:
            load_model(tmp_path)
        assert "\n" not in str(error.value)

    refused()
    save_model(tmp_path, network, x.shape[2], MODEL, {})
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    refused()
    (tmp_path / "model.safetensors").unlink()
    refused()


def test_the_registry_has_the_names_that_params_yaml_may_contain() -> None:
    assert tuple(ARCHITECTURES) == get_args(Architecture)


def test_gru_d_refuses_other_inputs() -> None:
    with pytest.raises(ValueError, match="GRU-D reads values, their masks and hours since"):
        build(2 * M + STATICS, STATICS, MODEL.changed(VARIANTS["gru_d"]))
