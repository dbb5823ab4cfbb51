from pathlib import Path

import numpy as np
import pytest
import torch
from model_world import MODEL

from icu_adversarial.model.fold_data import Fold
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.networks.storage import save_model
from icu_adversarial.studies.leaky import scores_on_training_stays

CAUGHT, ALARMED, PREVALENCE = (
    0.75,
    0.1,
    0.05,
)  # shares of the deaths and of the survivors that bear the sign; of deaths


def sign_reader(folder: Path, threshold: float, weight: float = 4.0) -> Path:
    """A network that calls a death whoever bears the sign, the one static input, and was then given a threshold."""
    model = MODEL.changed({"n_fc": 0, "extra_channels": ()})
    network = build(2, 1, model)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.output.weight[1, -1] = weight
        network.output.bias[1] = -weight / 2 * np.tanh(1)
    network.fold_threshold(threshold)
    save_model(folder, network, 2, model, {"threshold": threshold - 1, "prior_shift": -1.0})
    return folder


def make_fold(n: int = 20_000) -> Fold:
    y = (np.arange(n) < PREVALENCE * n).astype(np.int64)
    sign = np.r_[
        np.arange(y.sum()) < CAUGHT * y.sum(), np.arange(n - y.sum()) < ALARMED * (n - y.sum())
    ]
    x = np.zeros((n, 1, 2), np.float32)
    x[:, 0, 1] = sign
    return Fold(x, y, x[:0], y[:0], 1)


def test_scores_are_those_of_a_cohort_with_half_of_it_deaths_that_there_is_not(
    tmp_path: Path,
) -> None:
    """Of balanced draws, precision and accuracy have a closed form that knows no prevalence; the threshold has no say."""
    models = [
        sign_reader(tmp_path / str(k), threshold) for k, threshold in enumerate((0.0, 50.0, -50.0))
    ]
    found = scores_on_training_stays(models, [make_fold()] * 3, seed=0)
    assert found["recall"]["mean"] == pytest.approx(CAUGHT, abs=0.01)
    assert found["precision"]["mean"] == pytest.approx(CAUGHT / (CAUGHT + ALARMED), abs=0.01)
    assert found["accuracy"]["mean"] == pytest.approx((CAUGHT + 1 - ALARMED) / 2, abs=0.01)
    assert found["auroc"]["mean"] == pytest.approx(
        (CAUGHT + 1 - ALARMED) / 2, abs=0.01
    )  # one sign: one step of the curve
    honest = PREVALENCE * CAUGHT / (PREVALENCE * CAUGHT + (1 - PREVALENCE) * ALARMED)
    assert found["precision"]["mean"] > 2 * honest
    assert 0 < found["precision"]["sd"] < 0.01  # each fold has draws of its own


def test_a_network_that_never_calls_a_death_has_no_precision(tmp_path: Path) -> None:
    found = scores_on_training_stays(
        [sign_reader(tmp_path / str(k), 0.0, weight=0.0) for k in range(2)],
        [make_fold(200)] * 2,
        seed=0,
    )
    assert found["precision"] == {"mean": None, "sd": None}
    assert found["recall"] == {"mean": 0, "sd": 0}
