from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from icu_adversarial.errors import InputError
from icu_adversarial.model import training
from icu_adversarial.model.baselines import BASELINES, summaries
from icu_adversarial.model.baselines import predict as predict_baseline
from icu_adversarial.model.evaluation import rank_scores
from icu_adversarial.model.folds import predict, save_fold, train_folds
from icu_adversarial.params import Features, Train

FEATURES = Features(interpolation="linear", limit_direction="both", lower_percentile=5, upper_percentile=95, extra_channels=("observed",))
HYPERPARAMETERS: dict[str, Any] = {
    "n_lstm": 8, "lstm_activation": "tanh", "dropout": 0.2, "n_fc": 8, "fc_activation": "relu", "optimizer": "adam",
    "learning_rate": 0.01, "batch_size": 32,
}  # fmt: skip
OPTIONS = Train(epochs=4, evaluate_every=2, patience=None, seed=3, bootstrap=10)
N, T, M = 240, 8, 19


def make_cohort(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """240 subjects in 3 folds and a test set; heart rate and lactate are higher in those who die."""
    rng = np.random.default_rng(seed)
    died = rng.random(N) < 0.25
    grid = rng.normal(100, 10, (N, T, M)).astype(np.float32)
    grid[:, :, [4, 13]] += 12 * died[:, None, None]
    grid[rng.random(grid.shape) < 0.4] = np.nan
    fold = (np.arange(N) % 4 - 1).astype(np.int8)
    return pd.DataFrame({"stay_id": np.arange(N), "subject_id": np.arange(N), "died": died, "fold": fold, "is_test": fold < 0}), grid


def make_folds(cohort: pd.DataFrame, grid: np.ndarray) -> tuple[list[training.Fold], list[Any]]:
    inside = cohort["fold"].to_numpy() >= 0
    fold, died = cohort["fold"].to_numpy()[inside], cohort["died"].to_numpy()[inside]
    pairs = [training.make_fold(grid[inside], died, fold == k, FEATURES) for k in range(3)]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("optimizer", list(training.OPTIMIZERS))
def test_training_in_parts_through_the_disk_takes_the_same_steps(tmp_path: Path, optimizer: str) -> None:
    (fold, *_), _ = make_folds(*make_cohort())
    hyperparameters = HYPERPARAMETERS | {"optimizer": optimizer}
    begin = training.start(fold.x_train.shape[2], hyperparameters, seed=5)
    whole = training.advance(training.advance(begin, fold, hyperparameters, epochs=2, seed=5), fold, hyperparameters, epochs=1, seed=5)
    half = training.advance(begin, fold, hyperparameters, epochs=2, seed=5)
    half.save(tmp_path / "state.safetensors")
    resumed = training.advance(training.State.load(tmp_path / "state.safetensors"), fold, hyperparameters, epochs=1, seed=5)
    assert same(resumed.weights, whole.weights)
    assert same(resumed.best, whole.best)
    assert same(resumed.optimizer, whole.optimizer)
    assert resumed.history == whole.history
    assert not same(resumed.weights, half.weights)


def test_percentiles_fitted_on_held_out_subjects_is_ruled_out() -> None:
    cohort, grid = make_cohort()
    inside = cohort["fold"].to_numpy() >= 0
    fold, died = cohort["fold"].to_numpy()[inside], cohort["died"].to_numpy()[inside]
    _, scaler = training.make_fold(grid[inside], died, fold == 1, FEATURES)
    absurd = grid[inside].copy()
    absurd[fold == 1] = 1e6
    data, other = training.make_fold(absurd, died, fold == 1, FEATURES)
    np.testing.assert_array_equal(scaler.lower, other.lower)
    np.testing.assert_array_equal(scaler.upper, other.upper)
    np.testing.assert_array_equal(scaler.median, other.median)
    assert (data.x_held_out[..., :M] == 1).all()  # winsorised by the training percentiles
    seen = np.isfinite(grid[inside][fold != 1][..., 7])
    assert scaler.upper[7] == np.float32(np.percentile(grid[inside][fold != 1][..., 7][seen], 95))


def test_evaluation_scores_the_held_out_stays_and_never_resamples() -> None:
    (fold, *_), _ = make_folds(*make_cohort())
    state = training.advance(training.start(2 * M, HYPERPARAMETERS, 1), fold, HYPERPARAMETERS, epochs=3, seed=1)
    network = training.build(2 * M, HYPERPARAMETERS)
    network.load_state_dict(state.weights)
    z = training.log_odds(network, fold.x_held_out)
    p = 1 / (1 + np.exp(-(z.astype(float) + fold.log_prior)))
    expected = -np.where(fold.y_held_out == 1, np.log(p), np.log(1 - p)).mean()
    assert state.history[-1]["held_out_loss"] == pytest.approx(expected)
    assert state.history[-1]["auroc"] == pytest.approx(rank_scores(fold.y_held_out, z)[0])


def test_folds_trained_together_resume_after_an_interruption_to_the_same_bytes(tmp_path: Path) -> None:
    folds, _ = make_folds(*make_cohort())
    whole = train_folds(folds, HYPERPARAMETERS, OPTIONS, tmp_path / "whole")
    train_folds(folds, HYPERPARAMETERS, OPTIONS.model_copy(update={"epochs": 2}), tmp_path / "cut")
    (tmp_path / "cut" / "fold_1.safetensors").unlink()  # as if killed before this fold was saved
    resumed = train_folds(folds, HYPERPARAMETERS, OPTIONS, tmp_path / "cut")
    assert all(same(a.best, b.best) and a.history == b.history for a, b in zip(whole, resumed, strict=True))


def test_patience_stops_a_fold_that_no_longer_improves(tmp_path: Path) -> None:
    folds, _ = make_folds(*make_cohort())
    options = Train(epochs=40, evaluate_every=1, patience=2, seed=3, bootstrap=10)
    states = train_folds(folds, HYPERPARAMETERS | {"learning_rate": 0.05}, options, tmp_path)
    assert any(s.epoch < 40 for s in states)
    for s in states:
        assert s.epoch == 40 or len(s.history) - 1 - s.best_evaluation == 2
        losses = [h["held_out_loss"] for h in s.history]
        assert losses[s.best_evaluation] == min(losses)


def test_loss_that_is_never_a_number_is_told_in_one_line(tmp_path: Path) -> None:
    (fold, *_), (scaler, *_) = make_folds(*make_cohort())
    state = training.start(2 * M, HYPERPARAMETERS, 0)
    state.weights["output.bias"][:] = float("nan")
    state = training.advance(state, fold, HYPERPARAMETERS, epochs=1, seed=0)
    assert state.best_evaluation == -1
    with pytest.raises(InputError, match="held-out loss was never a number"):
        save_fold(tmp_path / "fold_0", state, fold, scaler, HYPERPARAMETERS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, np.ndarray]:
    cohort, grid = make_cohort()
    folds, scalers = make_folds(cohort, grid)
    models = tmp_path_factory.mktemp("models")
    states = train_folds(folds, HYPERPARAMETERS, OPTIONS.model_copy(update={"epochs": 20}), models / "checkpoints")
    for k, parts in enumerate(zip(states, folds, scalers, strict=True)):
        save_fold(models / f"fold_{k}", *parts, HYPERPARAMETERS)
    return models, cohort, grid


def test_predictions_are_out_of_fold_and_learned(trained: tuple[Path, pd.DataFrame, np.ndarray]) -> None:
    models, cohort, grid = trained
    table = predict(models, cohort, grid)
    assert (table["split"] == np.where(cohort["is_test"], "test", "oof")).all()
    assert (table["predicted"] == (table["logit_1"] > table["logit_0"])).all()
    for split in ("oof", "test"):
        chosen = table[table["split"] == split]
        assert rank_scores(chosen["died"].to_numpy(), chosen["probability"].to_numpy())[0] > 0.8
    assert table["probability"].mean() == pytest.approx(cohort["died"].mean(), abs=0.08)  # at the cohort's prevalence, not at one half


def test_predictions_of_a_fold_use_its_own_model_alone(trained: tuple[Path, pd.DataFrame, np.ndarray]) -> None:
    models, cohort, grid = trained
    table = predict(models, cohort, grid)
    changed = grid.copy()
    changed[cohort["fold"] == 1] = np.nan
    other = predict(models, cohort, changed)
    kept = cohort["fold"].to_numpy() != 1
    np.testing.assert_array_equal(table["logit_1"][kept], other["logit_1"][kept])


def test_summaries_by_hand() -> None:
    grid = np.full((1, 4, M), np.nan, np.float32)
    grid[0, :3, 2] = [1.0, np.nan, 5.0]
    s = summaries(grid).reshape(6, M)
    np.testing.assert_allclose(s[:, 2], [3, 1, 5, 2, 5, 2])
    assert np.isnan(s[:5, 3]).all()
    assert s[5, 3] == 0


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_learn_out_of_fold(name: str) -> None:
    cohort, grid = make_cohort()
    grid[..., 1] = np.nan  # a measurement that the source does not have, as calcium in the Challenge
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    probability, predicted = predict_baseline(name, grid, died, fold, seed=0)
    for chosen in (fold >= 0, fold == -1):
        assert rank_scores(died[chosen], probability[chosen])[0] > 0.75
    assert 0 < predicted.mean() < 0.6
    leaky = predict_baseline(name, grid, died ^ (fold == 0), fold, seed=0).probability  # labels of fold 0 reversed
    assert rank_scores(died[fold == 0], leaky[fold == 0])[0] > 0.6  # its own labels were not learned from
