from math import erf, sqrt

import numpy as np
import pytest
import torch
from literature_set import M

from icu_adversarial.model.networks.summary import (
    BENDS,
    SMALLEST_VARIANCE,
    SUMMARIES,
    SummaryNetwork,
    summarise,
)

T, STATICS = 8, 2
NAMES = ("mean", "deviation", "trend", "recent", "last", "number")


def make(stays: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    observed = rng.random((stays, T, M)) < 0.3
    observed[0, :, 3] = False
    values, statics = (
        rng.random((stays, T, M), np.float32),
        rng.random((stays, STATICS), np.float32),
    )
    return (
        torch.from_numpy(values),
        torch.from_numpy(observed.astype(np.float32)),
        torch.from_numpy(statics),
    )


def one(hours: dict[int, float]) -> dict[str, float]:
    """The summaries of measurement 5, observed at these hours alone; those that are not missing."""
    values, observed = torch.rand(1, T, M), torch.zeros(1, T, M)
    for hour, value in hours.items():
        values[0, hour, 5], observed[0, hour, 5] = value, 1
    summaries, missing = summarise(values, observed, torch.zeros(1, 0))
    found, lost = summaries.view(SUMMARIES, M)[:, 5], missing.view(SUMMARIES, M)[:, 5]
    return {
        name: value
        for name, value, gone in zip(NAMES, found.tolist(), lost.tolist(), strict=True)
        if not gone
    }


def test_summaries_of_three_observations_by_hand() -> None:
    found = one({1: 0.2, 3: 0.4, 5: 0.9})
    assert found == pytest.approx(
        {
            "mean": 0.5,
            "deviation": np.sqrt((0.09 + 0.01 + 0.16) / 3 + 1e-3),
            "trend": (-0.25 * 0.2 + 0.25 * 0.9) / 3,
            "recent": 0.9,  # nothing in the last quarter: the last value
            "last": 0.9,
            "number": np.log(4),
        },
        abs=1e-6,
    )
    assert one({0: 0.2, 6: 0.4, 7: 0.9})["recent"] == pytest.approx(0.65)


def test_of_one_observation_only_the_level_is_known() -> None:
    level = {
        "mean": 0.3,
        "deviation": np.sqrt(1e-3),
        "trend": 0,
        "recent": 0.3,
        "last": 0.3,
        "number": np.log(2),
    }
    assert one({4: 0.3}) == pytest.approx(level, abs=1e-6)


def test_of_none_all_but_the_number_is_missing() -> None:
    assert one({}) == {"number": 0}


def test_summaries_are_those_of_numpy_stay_by_stay() -> None:
    values, observed, statics = make(20)
    summaries, missing = summarise(values, observed, statics)
    for stay, j in np.ndindex(20, M):
        hours = np.flatnonzero(observed[stay, :, j])
        v = values[stay, hours, j].double().numpy()
        found = summaries[stay, : SUMMARIES * M].view(SUMMARIES, M)[:, j].numpy()
        assert missing[stay, : SUMMARIES * M].view(SUMMARIES, M)[:, j].tolist() == [
            not len(v)
        ] * 5 + [False]
        if len(v):
            recent = v[hours >= 6] if (hours >= 6).any() else v[-1:]
            deviation, trend = (
                np.sqrt(v.var() + SMALLEST_VARIANCE),
                np.cov(hours / T, v, bias=True)[0, 1],
            )
            np.testing.assert_allclose(
                found,
                [v.mean(), deviation, trend, recent.mean(), v[-1], np.log1p(len(v))],
                atol=1e-6,
            )
    assert torch.equal(summaries[:, SUMMARIES * M :], statics)
    assert not missing[:, SUMMARIES * M :].any()


def fitted(stays: int = 200) -> SummaryNetwork:
    torch.manual_seed(0)
    network = SummaryNetwork(M, STATICS, 16, 0.5).eval()
    network.fit(*make(stays))
    return network


def test_network_is_the_equations() -> None:
    """Standardised by the stays that it was fitted on, bent, then the two layers, summary by summary."""
    network, arguments = fitted(), make(12, seed=1)
    summaries, missing = (part.numpy() for part in summarise(*arguments))
    fitted_on, absent = (part.numpy() for part in summarise(*make(200)))
    encoded = np.zeros((*summaries.shape, len(BENDS) + 1))
    for j in range(summaries.shape[1]):
        had = fitted_on[~absent[:, j], j].astype(float)
        for stay in range(len(summaries)):
            if missing[stay, j]:
                encoded[stay, j, -1] = 1
            else:
                encoded[stay, j, :-1] = np.tanh(
                    (summaries[stay, j] - had.mean()) / had.std() - np.array(BENDS)
                )
    w = {name: weight.detach().double().numpy() for name, weight in network.named_parameters()}
    before = encoded.reshape(len(summaries), -1) @ w["hidden.0.weight"].T + w["hidden.0.bias"]
    hidden = before * [[(1 + erf(v / sqrt(2))) / 2 for v in row] for row in before]  # GELU
    with torch.no_grad():
        found = network(*arguments).numpy()
    np.testing.assert_allclose(found, hidden @ w["output.weight"].T + w["output.bias"], atol=1e-4)


def test_values_that_were_not_observed_are_not_read_and_take_no_gradient() -> None:
    network, (values, observed, statics) = fitted(), make(30, seed=2)
    values.requires_grad_()
    z = network(values, observed, statics)
    (gradient,) = torch.autograd.grad(z[:, 1].sum(), values)
    assert gradient.isfinite().all()
    assert (gradient[observed == 0] == 0).all()
    assert (gradient[observed == 1] != 0).float().mean() > 0.5
    filled = torch.where(observed == 1, values, 0.123)
    assert torch.equal(network(filled, observed, statics), z)


def test_a_measurement_without_observations_in_training_is_no_number_but_read_as_nothing() -> None:
    values, observed, statics = make(40)
    never = observed.clone()
    never[..., 7] = 0
    network = SummaryNetwork(M, STATICS, 16, 0.0)
    network.fit(values, never, statics)
    z = network(values, observed, statics)
    assert z.isfinite().all()
    other = values.clone()
    other[..., 7] = 1 - other[..., 7]
    assert torch.equal(network(other, observed, statics), z)
