import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from damage import KINDS, damage, flipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from literature_set import NAMES, M
from model_world import FEATURES, MODEL, VARIANTS, N, make_cohort, make_folds
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from icu_adversarial.config.model import Model
from icu_adversarial.config.train import Train
from icu_adversarial.core.errors import InputError
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.model import fold_data, optimizers, training
from icu_adversarial.model.folds import kept_evaluation, predict, save_folds, train_folds
from icu_adversarial.model.networks.base import Network
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.scores import best_threshold, rank_scores
from icu_adversarial.model.state import TrainingState

OPTIONS = Train(epochs=4, evaluate_every=2, patience=None, seed=3)
RECIPE = Model.model_validate(MODEL)


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Iterator[None]:
    with joblib.parallel_config("sequential"):
        yield


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "changes",
    [*VARIANTS.values(), {"optimizer": "rmsprop"}, {"optimizer": "sgd", "schedule": "one_cycle"}],
    ids=[*VARIANTS, "rmsprop", "sgd"],
)
def test_training_in_parts_through_the_disk_takes_the_same_steps(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Two epochs and one, resumed or not; and the weights of three at once."""
    model = MODEL.changed(changes)
    (fold, *_), _ = make_folds(*make_cohort(stays=120), model)
    begin = training.start(fold, model, seed=5)

    def advance(state: TrainingState, epochs: int) -> TrainingState:
        return training.advance(state, fold, model, epochs=epochs, of=3, seed=5)

    half = advance(begin, 2)
    half.save(tmp_path / "state.safetensors")
    whole, resumed, at_once = (
        advance(half, 1),
        advance(TrainingState.load(tmp_path / "state.safetensors"), 1),
        advance(begin, 3),
    )
    for state in (resumed, at_once):
        assert same(state.weights, whole.weights)
        assert same(state.optimizer, whole.optimizer)
        assert state.history[-1] == whole.history[-1]
    assert same(resumed.best, whole.best)
    assert resumed.history == whole.history
    assert not same(resumed.weights, half.weights)


def test_percentiles_fitted_on_held_out_subjects_is_ruled_out() -> None:
    cohort, grid = make_cohort()
    fold = cohort["fold"].to_numpy()
    recipe = RECIPE.model_copy(update={"static_inputs": ("age", "icu_type")})
    _, scaler = fold_data.make_fold(grid, NAMES, cohort, fold == 1, FEATURES, recipe)
    absurd, stays = grid.copy(), cohort.copy()
    absurd[fold == 1] = 1e6
    stays.loc[fold == 1, "age"], stays.loc[fold == 1, "icu_type"] = 1e6, "spaceship"
    data, other = fold_data.make_fold(absurd, NAMES, stays, fold == 1, FEATURES, recipe)
    np.testing.assert_array_equal(scaler.lower, other.lower)
    np.testing.assert_array_equal(scaler.upper, other.upper)
    np.testing.assert_array_equal(scaler.median, other.median)
    assert other.statics == scaler.statics
    assert (data.x_held_out[..., :M] == 1).all()  # winsorised by the training percentiles
    seen = np.isfinite(grid[fold != 1][..., 7])
    assert scaler.upper[7] == np.float32(np.percentile(grid[fold != 1][..., 7][seen], 95))


def test_training_stays_may_be_fewer_than_all_that_are_not_held_out() -> None:
    cohort, grid = make_cohort()
    fold = cohort["fold"].to_numpy()
    learn = (fold == 2) & (cohort["age"] > 40).to_numpy()
    data, scaler = fold_data.make_fold(grid, NAMES, cohort, fold == 1, FEATURES, RECIPE, learn)
    alone, of_learn = fold_data.make_fold(
        grid[learn], NAMES, cohort[learn], np.zeros(learn.sum(), bool), FEATURES, RECIPE
    )
    np.testing.assert_array_equal(data.x_train, alone.x_train)
    np.testing.assert_array_equal(data.y_train, cohort["died"][learn])
    np.testing.assert_array_equal(data.y_held_out, cohort["died"][fold == 1])
    np.testing.assert_array_equal(scaler.median, of_learn.median)


@pytest.mark.parametrize("sampling", ["balanced", "natural"])
def test_evaluation_scores_the_held_out_stays_and_never_resamples(sampling: str) -> None:
    model = MODEL.changed({"sampling": sampling})
    (fold, *_), _ = make_folds(*make_cohort(), model)
    state = training.advance(training.start(fold, model, 1), fold, model, epochs=3, of=3, seed=1)
    network = training.build(fold.channels, fold.statics, model)
    network.load_state_dict(state.weights)
    z = training.log_odds(network, fold.x_held_out)
    prior = (
        np.log(fold.y_train.mean() / (1 - fold.y_train.mean())) if sampling == "balanced" else 0
    )  # what balanced batches do not know
    p = 1 / (1 + np.exp(-(z.astype(float) + prior)))
    expected = -np.where(fold.y_held_out == 1, np.log(p), np.log(1 - p)).mean()
    assert state.history[-1]["held_out_loss"] == pytest.approx(expected)
    assert state.history[-1]["auroc"] == pytest.approx(rank_scores(fold.y_held_out, z)[0])


def stays_of_the_batches(
    monkeypatch: pytest.MonkeyPatch, sampling: str, epochs: int
) -> tuple[np.ndarray, np.ndarray]:
    """The number of every stay in the batches of training, (epochs, stays), and the outcome of each stay."""
    (fold, *_), _ = make_folds(*make_cohort())
    model = MODEL.changed({"sampling": sampling})
    stays = len(fold.y_train)
    fold.x_train[:, 0, 0] = np.arange(stays)
    seen: list[torch.Tensor] = []

    def watched(channels: int, statics: int, model: dict[str, Any]) -> Network:
        network = build(channels, statics, model)
        network.lstm.register_forward_pre_hook(
            lambda module, inputs: seen.append(inputs[0][:, 0, 0]) if module.training else None
        )
        return network

    build = training.build
    monkeypatch.setattr(training, "build", watched)
    training.advance(training.start(fold, model, 1), fold, model, epochs=epochs, of=epochs, seed=1)
    return torch.cat(seen).numpy().astype(int).reshape(epochs, stays), fold.y_train


def test_natural_batches_visit_each_stay_once_an_epoch_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs, y = stays_of_the_batches(monkeypatch, "natural", 2)
    for epoch in epochs:
        assert sorted(epoch) == list(range(len(y)))
    assert (epochs[0] != epochs[1]).any()


def test_balanced_batches_draw_each_outcome_equally_often_with_replacement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs, y = stays_of_the_batches(monkeypatch, "balanced", 20)
    assert y.mean() < 0.3
    assert y[epochs].mean() == pytest.approx(0.5, abs=0.05)
    assert all(len(set(epoch)) < len(y) for epoch in epochs)
    drawn = np.bincount(epochs.ravel(), minlength=len(y))
    assert drawn[y == 0].min() > 0  # nobody is left out
    assert drawn[y == 0].mean() == pytest.approx(epochs.size / 2 / (y == 0).sum(), rel=0.1)


def test_one_cycle_is_that_of_torch() -> None:
    """But for less than one of 3,000 steps: torch counts the rise one step shorter."""
    steps, highest = 3000, 0.02
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=highest, total_steps=steps, cycle_momentum=False
    )
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = [highest * optimizers.one_cycle(step / (steps - 1)) for step in range(steps)]
    np.testing.assert_allclose(ours, expected, atol=highest * 2e-3)
    assert (ours[0], ours[-1]) == pytest.approx((expected[0], expected[-1]))
    assert max(ours) == pytest.approx(highest, rel=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_learning_rate_runs_through_its_schedule_over_all_parts(
    monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    rates: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: None = None) -> None:
            rates.append(self.param_groups[0]["lr"])

    monkeypatch.setitem(optimizers.OPTIMIZERS, "sgd", Watched)
    model = MODEL.changed({"optimizer": "sgd", "schedule": schedule, "learning_rate": 0.5})
    (fold, *_), _ = make_folds(*make_cohort(), model.changed({"keep": "last"}))
    state = training.start(fold, model, 0)
    for epochs in (2, 1):
        state = training.advance(state, fold, model, epochs=epochs, of=3, seed=0)
    assert len(rates) == 3 * 4  # 120 stays in batches of 32
    if schedule == "constant":
        assert rates == [0.5] * 12
    else:
        peak = int(np.argmax(rates))
        assert (rates[0], rates[-1]) == pytest.approx((0.5 / 25, 0.5 / 25 * 1e-4))
        assert rates[: peak + 1] == sorted(rates[: peak + 1])
        assert rates[peak:] == sorted(rates[peak:], reverse=True)
        assert peak == 3


@pytest.mark.parametrize(("max_gradient", "length"), [(0.01, 0.01), (1e6, None), (None, None)])
def test_a_gradient_is_cut_to_its_longest(max_gradient: float | None, length: float | None) -> None:
    """One step of gradient descent with learning rate 1 is as long as the gradient."""
    model = MODEL.changed(
        {
            "optimizer": "sgd",
            "learning_rate": 1.0,
            "batch_size": 1000,
            "max_gradient": max_gradient,
            "dropout": 0.0,
        }
    )
    (fold, *_), _ = make_folds(*make_cohort())
    begin = training.start(fold, model, 0)
    after = training.advance(begin, fold, model, epochs=1, of=1, seed=0)
    step = torch.cat(
        [(after.weights[name] - begin.weights[name]).flatten() for name in begin.weights]
    ).norm()
    if length is None:
        assert step > 0.05
    else:
        assert step == pytest.approx(length, rel=1e-3)


def test_decay_pulls_the_weights_towards_zero() -> None:
    """AdamW: decoupled from the gradient, so that a step takes learning rate x decay of every weight beside Adam's own step."""
    (fold, *_), _ = make_folds(*make_cohort())
    found = {}
    for decay in (0.0, 0.5):
        model = MODEL.changed({"batch_size": 1000, "weight_decay": decay})
        begin = training.start(fold, model, 0)
        found[decay] = training.advance(begin, fold, model, epochs=1, of=1, seed=0).weights
    begin.weights.pop("median")  # of the values: no weight
    for name, weight in begin.weights.items():
        torch.testing.assert_close(
            found[0.0][name] - found[0.5][name], 0.01 * 0.5 * weight, atol=1e-6, rtol=1e-3
        )


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_decay_is_of_adam_alone(optimizer: str) -> None:
    """In the others it would be a penalty in the gradient: of RMSprop, many times as strong."""
    (fold, *_), _ = make_folds(*make_cohort())
    models = [
        MODEL.changed({"optimizer": optimizer, "weight_decay": decay}) for decay in (0.0, 0.5)
    ]
    without, with_decay = (
        training.advance(training.start(fold, model, 0), fold, model, epochs=1, of=1, seed=0)
        for model in models
    )
    assert same(without.weights, with_decay.weights)


def test_folds_trained_together_resume_after_an_interruption_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    folds, _ = make_folds(*make_cohort())
    whole = train_folds(folds, MODEL, OPTIONS, tmp_path / "whole")
    train_folds(folds, MODEL, OPTIONS.model_copy(update={"epochs": 2}), tmp_path / "cut")
    (tmp_path / "cut" / "fold_1.safetensors").unlink()  # as if killed before this fold was saved
    with joblib.parallel_config("loky"):  # processes side by side
        resumed = train_folds(folds, MODEL, OPTIONS, tmp_path / "cut")
    assert all(
        same(a.best, b.best) and a.history == b.history for a, b in zip(whole, resumed, strict=True)
    )


def assert_same_trainings(a: list[TrainingState], b: list[TrainingState]) -> None:
    for one, other in zip(a, b, strict=True):
        assert same(one.weights, other.weights)
        assert same(one.optimizer, other.optimizer)
        assert same(one.best, other.best)
        assert one.history == other.history


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrainingState]]:
    """Checkpoints of trainings that were cut off in the middle, and what whole ones lead to."""
    folder = tmp_path_factory.mktemp("cut")
    folds, _ = make_folds(*make_cohort(stays=120))
    train_folds(folds, MODEL, OPTIONS.model_copy(update={"epochs": 2}), folder / "checkpoints")
    return folder / "checkpoints", train_folds(folds, MODEL, OPTIONS, folder / "whole")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_checkpoint_is_told_in_one_line_and_its_fold_trained_from_the_start(
    tmp_path: Path,
    cut: tuple[Path, list[TrainingState]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    shutil.copytree(cut[0], tmp_path / "again")
    damage(tmp_path / "again" / "fold_1.safetensors", kind)
    begun: list[int] = []

    def watched(state: TrainingState, fold: Any, model: Any, **options: Any) -> TrainingState:
        begun.append(state.epoch)
        return training.advance(state, fold, model, **options)

    monkeypatch.setattr("icu_adversarial.model.folds.advance", watched)
    states = train_folds(make_folds(*make_cohort(stays=120))[0], MODEL, OPTIONS, tmp_path / "again")
    assert_same_trainings(states, cut[1])
    assert begun == [0, 2, 2, 2]  # the other two folds went on
    (told,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert "again/fold_1.safetensors is " in told
    assert "again" in told.split("deleted", 1)[1]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_checkpoint_with_any_bit_flipped_is_never_trained_on(
    tmp_path: Path, cut: tuple[Path, list[TrainingState]], place: float, bit: int
) -> None:
    file = tmp_path / "state.safetensors"
    file.write_bytes(flipped((cut[0] / "fold_0.safetensors").read_bytes(), place, bit))
    assert TrainingState.load(file) is None
    assert not file.exists()


def test_a_file_in_the_place_of_the_checkpoints_is_told_and_deleted(
    tmp_path: Path, cut: tuple[Path, list[TrainingState]], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("a file")
    folds, _ = make_folds(*make_cohort(stays=120))
    assert_same_trainings(train_folds(folds, MODEL, OPTIONS, tmp_path / "key" / "part"), cut[1])
    assert capsys.readouterr().err.count("key is not a folder") == 1


def test_the_checkpoints_of_trainings_that_diverged_are_removed(tmp_path: Path) -> None:
    folds, _ = make_folds(*make_cohort(stays=120))
    model = MODEL.changed({"optimizer": "sgd", "learning_rate": 1e30, "max_gradient": None})
    message = "held-out loss of fold 0 was never a number: lower the learning rate"
    with pytest.raises(InputError, match=message):
        train_folds(folds, model, OPTIONS, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def test_patience_stops_a_fold_that_no_longer_improves(tmp_path: Path) -> None:
    folds, _ = make_folds(*make_cohort())
    options = Train(epochs=40, evaluate_every=1, patience=2, seed=3)
    states = train_folds(folds, MODEL.changed({"learning_rate": 0.05}), options, tmp_path)
    assert any(s.epoch < 40 for s in states)
    for s in states:
        assert s.epoch == 40 or len(s.history) - 1 - s.best_evaluation == 2
        losses = [h["validation_loss"] for h in s.history]
        assert losses[s.best_evaluation] == min(losses)


def test_a_model_that_keeps_its_last_weights_is_never_stopped_early(tmp_path: Path) -> None:
    folds, _ = make_folds(*make_cohort(stays=120))
    options = Train(epochs=12, evaluate_every=1, patience=1, seed=3)
    stopped = train_folds(folds, MODEL.changed({"learning_rate": 0.1}), options, tmp_path / "best")
    assert any(s.epoch < 12 for s in stopped)
    states = train_folds(
        folds, MODEL.changed({"learning_rate": 0.1, "keep": "last"}), options, tmp_path / "last"
    )
    assert [s.epoch for s in states] == [12] * 3


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_that_are_saved_are_those_to_keep(tmp_path: Path, keep: str) -> None:
    """After one good epoch, at a learning rate that spoils the network."""
    model = MODEL.changed({"keep": keep})
    (fold, *_), (scaler, *_) = make_folds(*make_cohort())
    good = training.advance(training.start(fold, model, 0), fold, model, epochs=3, of=4, seed=0)
    state = training.advance(
        good, fold, model.changed({"learning_rate": 3.0}), epochs=1, of=4, seed=0
    )
    assert state.best_evaluation == 0
    save_folds([tmp_path], [state], [fold], [scaler], model)
    expected, saved = (
        (good.weights, 3) if keep == "best" else (state.weights, 4),
        load_file(tmp_path / "model.safetensors"),
    )
    about = json.loads((tmp_path / "model.json").read_text())
    saved["output.bias"][1] += about["threshold"] - about["prior_shift"]
    assert about["epoch"] == expected[1]
    assert kept_evaluation(state, model) == (0 if keep == "best" else 1)
    for name, weight in expected[0].items():
        torch.testing.assert_close(saved[name], weight)


def test_a_training_that_breaks_down_leaves_the_best_weights_before(tmp_path: Path) -> None:
    (fold, *_), (scaler, *_) = make_folds(*make_cohort())
    good = training.advance(training.start(fold, MODEL, 0), fold, MODEL, epochs=1, of=2, seed=0)
    broken = TrainingState(dict(good.weights), good.optimizer, good.best, good.epoch, good.history)
    broken.weights["output.bias"] = torch.full((2,), float("nan"))
    state = training.advance(broken, fold, MODEL, epochs=1, of=2, seed=0)
    assert np.isnan(state.history[1]["held_out_loss"])
    assert state.best_evaluation == 0
    for keep in ("best", "last"):
        save_folds([tmp_path / keep], [state], [fold], [scaler], MODEL.changed({"keep": keep}))
        assert np.isfinite(training.logits(load_model(tmp_path / keep), fold.x_held_out)).all()


def test_loss_that_is_never_a_number_is_told_in_one_line(tmp_path: Path) -> None:
    (fold, *_), (scaler, *_) = make_folds(*make_cohort())
    state = training.start(fold, MODEL, 0)
    state.weights["output.bias"][:] = float("nan")
    state = training.advance(state, fold, MODEL, epochs=1, of=1, seed=0)
    assert state.best_evaluation == -1
    with pytest.raises(InputError, match="held-out loss was never a number"):
        save_folds([tmp_path / "fold_0"], [state], [fold], [scaler], MODEL)


@pytest.fixture(scope="module", params=["lstm", "pooled_lstm"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, pd.DataFrame, np.ndarray]:
    """Three folds' models: balanced batches without, natural ones with static inputs."""
    model = MODEL.changed(VARIANTS[request.param])
    cohort, grid = make_cohort()
    folds, scalers = make_folds(cohort, grid, model)
    models = tmp_path_factory.mktemp("models")
    states = train_folds(
        folds, model, OPTIONS.model_copy(update={"epochs": 20}), models / "checkpoints"
    )
    save_folds([models / f"fold_{k}" for k in range(3)], states, folds, scalers, model)
    return models, cohort, grid


def test_predictions_are_out_of_fold_and_learned(
    trained: tuple[Path, pd.DataFrame, np.ndarray],
) -> None:
    models, cohort, grid = trained
    table = predict(models, cohort, grid)
    assert (table["split"] == np.where(cohort["is_test"], "test", "oof")).all()
    assert (table["predicted"] == (table["logit_1"] > table["logit_0"])).all()
    for split in ("oof", "test"):
        chosen = table[table["split"] == split]
        assert rank_scores(chosen["died"].to_numpy(), chosen["probability"].to_numpy())[0] > 0.8
    assert table["probability"].mean() == pytest.approx(
        cohort["died"].mean(), abs=0.08
    )  # at the cohort's prevalence, not at one half
    threshold = json.loads((models / "fold_0" / "model.json").read_text())["threshold"]
    uncalibrated = training.sigmoid((table["logit_1"] - table["logit_0"]).to_numpy() + threshold)
    assert uncalibrated.mean() == pytest.approx(cohort["died"].mean(), abs=0.15)


def test_one_threshold_is_that_of_the_best_f1_on_all_out_of_fold_stays(
    trained: tuple[Path, pd.DataFrame, np.ndarray],
) -> None:
    """The logits of all folds are log odds at the cohort's prevalence minus the same number."""
    models, cohort, grid = trained
    table = predict(models, cohort, grid)
    abouts = [json.loads((models / f"fold_{k}" / "model.json").read_text()) for k in range(3)]
    (threshold,) = {about["threshold"] for about in abouts}
    z = np.zeros(len(cohort))
    for k, about in enumerate(abouts):
        network = load_model(models / f"fold_{k}")
        network.fold_threshold(about["prior_shift"] - threshold)  # the weights as trained
        own = (cohort["fold"] == k).to_numpy()
        x = Scaler.load(models / f"fold_{k}" / "scaler.json").apply(grid[own], cohort[own])
        z[own] = training.log_odds(network, x) + about["prior_shift"]
    inside = (cohort["fold"] >= 0).to_numpy()
    died = cohort["died"].to_numpy()[inside]
    np.testing.assert_allclose(
        (table["logit_1"] - table["logit_0"])[inside], z[inside] - threshold, atol=1e-5
    )
    assert threshold == pytest.approx(best_threshold(died, z[inside]), abs=1e-5)
    best = max(f1_score(died, z[inside] > t) for t in [-np.inf, *z[inside]])
    assert f1_score(died, table["predicted"][inside]) == pytest.approx(best)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_epoch_is_chosen_on_stays_that_neither_train_nor_score(keep: str) -> None:
    """Whole subjects, a fifth of the training subjects, with both outcomes; none for `last`."""
    cohort, grid = make_cohort()
    cohort["subject_id"] = np.arange(N) // 4  # four stays each, in the four splits
    cohort["fold"] = (cohort["subject_id"] % 4 - 1).astype(np.int8)
    grid[:, :, 0] = cohort["subject_id"].to_numpy()[:, None]  # who it is; clipped to 0 and 1
    model = MODEL.changed({"keep": keep})
    folds, scalers = make_folds(cohort, grid, model)
    for fold, scaler in zip(folds, scalers, strict=True):
        if keep == "last":
            assert fold.x_validation is None
            assert len(fold.y_train) == N / 2
            continue
        sides = [fold.x_train, fold.x_validation, fold.x_held_out]
        seen = [set(np.unique(side[:, 0, 0].round(5))) - {0, 1} for side in sides]
        assert not seen[1] & (seen[0] | seen[2])
        assert len(fold.y_validation) == pytest.approx(N / 2 / 5, abs=4)
        assert len(fold.y_train) + len(fold.y_validation) == N / 2
        assert set(fold.y_validation) == {0, 1}
        assert scaler.apply(grid[:1], cohort[:1]).shape[2] == fold.channels


def test_the_held_out_stays_have_no_part_in_the_epoch_that_is_kept(tmp_path: Path) -> None:
    """Reversed outcomes of the held-out stays: the same weights; of the validation stays: others."""
    (fold, *_), _ = make_folds(*make_cohort())
    options = OPTIONS.model_copy(update={"epochs": 8, "evaluate_every": 1})

    def kept(name: str, data: fold_data.Fold) -> int:
        (state,) = train_folds([data], MODEL, options, tmp_path / name)
        losses = [entry["validation_loss"] for entry in state.history]
        assert kept_evaluation(state, MODEL) == int(np.argmin(losses))
        return kept_evaluation(state, MODEL)

    before = kept("before", fold)
    assert kept("held_out", fold._replace(y_held_out=1 - fold.y_held_out)) == before
    assert fold.y_validation is not None
    assert kept("validation", fold._replace(y_validation=1 - fold.y_validation)) != before


def test_too_few_subjects_to_choose_an_epoch_are_told_in_one_line() -> None:
    cohort, grid = make_cohort()
    cohort["died"] = np.isin(np.arange(N), [1, 2, 3, 5, 6, 7])  # two deaths in each fold
    with pytest.raises(InputError, match="model keep best: one of 5 parts") as error:
        make_folds(cohort, grid, MODEL)
    assert "found 4 with the outcome" in str(error.value)
    assert "\n" not in str(error.value)


def test_predictions_of_a_fold_use_its_own_model_alone(
    trained: tuple[Path, pd.DataFrame, np.ndarray],
) -> None:
    models, cohort, grid = trained
    table = predict(models, cohort, grid)
    changed = grid.copy()
    changed[cohort["fold"] == 1] = np.nan
    other = predict(models, cohort, changed)
    kept = cohort["fold"].to_numpy() != 1
    np.testing.assert_array_equal(table["logit_1"][kept], other["logit_1"][kept])


def test_the_logits_of_a_test_stay_are_the_mean_of_all_networks_on_its_own_record(
    trained: tuple[Path, pd.DataFrame, np.ndarray],
) -> None:
    models, cohort, grid = trained
    table = predict(models, cohort, grid)
    for i in (0, 4, 236):
        assert cohort["is_test"][i]
        z = np.zeros(2)
        for k in range(3):
            x = Scaler.load(models / f"fold_{k}" / "scaler.json").apply(
                grid[i : i + 1], cohort[i : i + 1]
            )
            z += training.logits(load_model(models / f"fold_{k}"), x)[0] / 3
        np.testing.assert_allclose(
            table.loc[i, ["logit_0", "logit_1"]].to_numpy(float), z, atol=1e-5
        )


@pytest.mark.gpu
@pytest.mark.parametrize("name", VARIANTS)
def test_on_a_gpu_the_scores_are_those_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One batch an epoch and no dropout: nothing is drawn that could differ."""
    model = MODEL.changed(
        VARIANTS[name]
        | {"sampling": "natural", "batch_size": N, "dropout": 0.0, "measurement_dropout": 0.0}
    )
    (data, *_), _ = make_folds(*make_cohort(), model)
    on_gpu = training.advance(training.start(data, model, 0), data, model, epochs=20, of=20, seed=0)
    monkeypatch.setattr(training, "training_device", lambda: torch.device("cpu"))
    on_cpu = training.advance(training.start(data, model, 0), data, model, epochs=20, of=20, seed=0)
    for score in ("train_loss", "held_out_loss", "auroc", "auprc"):
        assert on_gpu.history[0][score] == pytest.approx(on_cpu.history[0][score], abs=5e-3), score


@pytest.mark.gpu
def test_within_an_epoch_nothing_waits_for_the_gpu() -> None:
    (data, *_), _ = make_folds(*make_cohort())
    counts = []
    for size in (
        40,
        40,
        4,
    ):  # the first one counts what is set up once; the last has ten times the batches
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            training.advance(
                training.start(data, MODEL, 0),
                data,
                MODEL.changed({"batch_size": size, "max_gradient": 1.0}),
                epochs=2,
                of=2,
                seed=0,
            )
            torch.cuda.set_sync_debug_mode("default")
        counts.append(sum("synchroniz" in str(w.message) for w in caught))
    assert counts[1] == counts[2] > 0
