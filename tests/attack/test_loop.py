from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from attack_models import FeedForward, Recurrent
from attack_tasks import (
    SPAN,
    Scaling,
    T,
    make_grid,
    make_stays,
    make_task,
    one_process,
    pick,
    tables,
)
from literature_set import NAMES, M
from torch import Tensor

from icu_adversarial.attack import api as problem
from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.api import Example, Result, margin_and_gradient, margins
from icu_adversarial.attack.examples import Found, examples_table
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.attack.tasks import Task, Victim, choose_stays, make_tasks, model_input
from icu_adversarial.attack.verify import run_task, run_tasks
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EXAMPLES, PERTURBATIONS, read_table, write_table
from icu_adversarial.features.scaling import fit_scaler

ATTACK = partial(l1, iterations=30, restarts=0, supports=0)


@pytest.fixture(autouse=True)
def _one_process() -> Iterator[None]:
    with one_process():
        yield


def make_predictions(n: int = 60) -> pd.DataFrame:
    """Stays 0 .. n-1: every third died, every fifth is predicted wrong, the last ten are test stays."""
    stay_id = np.arange(n)
    died, wrong, test = stay_id % 3 == 0, stay_id % 5 == 0, stay_id >= n - 10
    logit = np.where(died ^ wrong, 1, -1).astype(np.float32)
    return pd.DataFrame(
        {
            "stay_id": stay_id,
            "split": np.where(test, "test", "oof"),
            "fold": np.where(test, -1, stay_id % 4).astype(np.int8),
            "probability": np.float32(0.5),
            "logit_0": -logit,
            "logit_1": logit,
            "predicted": died ^ wrong,
            "died": died,
        }
    )


# choice of stays


def test_only_correctly_classified_training_stays_are_attacked_by_the_model_of_their_fold() -> None:
    predictions = make_predictions()
    chosen = choose_stays(predictions, max_stays=None, attack_misclassified=False, seed=0)
    assert chosen["stay_id"].tolist() == [i for i in range(50) if i % 5]
    assert (chosen["fold"] == chosen["stay_id"] % 4).all()
    assert (chosen["y"] == (chosen["stay_id"] % 3 == 0)).all()


def test_misclassified_stays_are_attacked_on_request_from_the_predicted_class() -> None:
    chosen = choose_stays(make_predictions(), max_stays=None, attack_misclassified=True, seed=0)
    assert chosen["stay_id"].tolist() == list(range(50))
    wrong = chosen["stay_id"] % 5 == 0
    assert (chosen["y"] == (chosen["stay_id"] % 3 == 0) ^ wrong).all()


@pytest.mark.parametrize(
    ("max_stays", "zeros", "ones"),
    [(10, 5, 5), (11, 6, 5), (1, 1, 0), (30, 17, 13), (39, 26, 13), (40, 27, 13), (900, 27, 13)],
)
def test_half_of_each_direction_filled_up_from_the_other(
    max_stays: int, zeros: int, ones: int
) -> None:
    chosen = choose_stays(
        make_predictions(), max_stays=max_stays, attack_misclassified=False, seed=0
    )
    assert [(chosen["y"] == y).sum() for y in (0, 1)] == [zeros, ones]
    assert chosen["stay_id"].is_monotonic_increasing
    assert chosen["stay_id"].is_unique


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    predictions = make_predictions()
    shuffled = predictions.sample(frac=1, random_state=1)
    first, second, other = (
        choose_stays(p, max_stays=12, attack_misclassified=False, seed=s)
        for p, s in ((predictions, 0), (shuffled, 0), (shuffled, 1))
    )
    pd.testing.assert_frame_equal(first, second)
    assert set(first["stay_id"]) != set(other["stay_id"])
    larger = choose_stays(predictions, max_stays=20, attack_misclassified=False, seed=0)
    assert set(first["stay_id"]) < set(larger["stay_id"])


def test_an_empty_direction_and_no_stay_at_all() -> None:
    predictions = make_predictions()
    survivors = predictions[~predictions["died"]]
    chosen = choose_stays(survivors, max_stays=8, attack_misclassified=False, seed=0)
    assert chosen["y"].tolist() == [0] * 8
    held_out = choose_stays(
        predictions, max_stays=None, attack_misclassified=False, seed=0, split="test"
    )
    assert held_out["stay_id"].tolist() == [i for i in range(50, 60) if i % 5]
    nothing = choose_stays(
        predictions[predictions["split"] == "test"], max_stays=8, attack_misclassified=False, seed=0
    )
    assert len(nothing) == 0
    assert list(make_tasks(nothing, make_stays(np.arange(60)), make_grid(60), {}, 16)) == []
    assert examples_table(run_tasks([], ATTACK)).equals(EXAMPLES.empty_table())


# tasks


def test_tasks_hold_the_rows_of_their_stays_and_their_fold() -> None:
    cohort, grid = make_stays(np.random.default_rng(0).permutation(60)), make_grid(60)
    victims = {fold: Victim(Recurrent(3 * M, 2), Scaling()) for fold in range(4)}
    chosen = choose_stays(make_predictions(), max_stays=None, attack_misclassified=False, seed=0)
    tasks = list(make_tasks(chosen, cohort, grid, victims, size=6))
    assert sorted(stay for task in tasks for stay in task.stay_id) == chosen["stay_id"].tolist()
    assert [task.fold for task in tasks] == sorted(task.fold for task in tasks)
    for task in tasks:
        assert 1 <= len(task.y) <= 6
        assert (task.stay_id % 4 == task.fold).all()
        assert task.victim is victims[task.fold]
        assert (task.y == (task.stay_id % 3 == 0)).all()
        rows = [cohort["stay_id"].tolist().index(stay) for stay in task.stay_id]
        np.testing.assert_array_equal(task.grid, grid[rows])
        pd.testing.assert_frame_equal(task.stays, cohort.iloc[rows])


def test_a_missing_stay_or_model_is_told_in_one_line() -> None:
    chosen = choose_stays(make_predictions(), max_stays=None, attack_misclassified=False, seed=0)
    with pytest.raises(InputError, match="1 of 40 predicted stays are not in the cohort"):
        list(make_tasks(chosen, make_stays(np.arange(49)), make_grid(49), {}, 8))
    with pytest.raises(InputError, match="fold 0 has predictions but no model"):
        list(make_tasks(chosen, make_stays(np.arange(60)), make_grid(60), {}, 8))


# the attack's result of a sample is its own


@pytest.mark.parametrize("width", [32, 64, 128])
def test_a_pass_has_the_same_bits_for_a_sample_alone_in_any_batch_and_in_any_order(
    width: int,
) -> None:
    task = make_task(128, Recurrent(3 * M, width))
    x, y, *_ = model_input(task)
    model = for_attack(task.victim.model)

    def run(rows: Tensor) -> tuple[Tensor, ...]:
        values = x[rows][..., :M]
        return margins(model, x[rows], y[rows], values), *margin_and_gradient(
            model, x[rows], y[rows], torch.zeros_like(values)
        )

    whole = run(torch.arange(128))
    for rows in (
        *map(torch.arange, range(1, 128)),
        torch.randperm(128, generator=torch.Generator().manual_seed(0)),
    ):
        assert all(
            torch.equal(some, every[rows]) for some, every in zip(run(rows), whole, strict=True)
        ), len(rows)


@pytest.mark.parametrize(
    ("method", "starts"), [("l1", {"restarts": 1, "supports": 1}), ("l0", {"candidates": 8})]
)
def test_a_result_is_the_same_alone_in_any_batch_and_in_any_order(
    method: str, starts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = partial(METHODS[method], iterations=30, **starts)
    task = make_task(97, Recurrent(3 * M, 32))
    task = task._replace(victim=Victim(for_attack(task.victim.model), task.victim.scaler))
    whole = tables([run_task(task, attack)])
    assert whole[0].to_pandas()["success"].mean() > 0.9
    for rows in ([0, 50, 96], list(range(33)), np.random.default_rng(1).permutation(97).tolist()):
        examples, cells = tables([run_task(pick(task, rows), attack)])
        assert examples.equals(whole[0].filter(np.isin(whole[0]["stay_id"], task.stay_id[rows])))
        assert cells.equals(whole[1].filter(np.isin(whole[1]["stay_id"], task.stay_id[rows])))
    monkeypatch.setattr(problem, "ROWS", 40)
    assert [a.equals(b) for a, b in zip(tables([run_task(task, attack)]), whole, strict=True)] == [
        True,
        True,
    ]


def test_another_neighbour_changes_nothing() -> None:
    task = make_task(40, Recurrent(3 * M, 8))
    other = task._replace(grid=task.grid.copy())
    other.grid[7] = make_grid(1, seed=9)[0]
    one, two = (run_task(t, ATTACK).examples for t in (task, other))
    rest = one["stay_id"] != 107
    pd.testing.assert_frame_equal(one[rest], two[rest])
    assert not one[~rest].equals(two[~rest])


def test_parallel_processes_give_what_one_gives() -> None:
    task = make_task(48, Recurrent(3 * M, 8))
    tasks = [pick(task, list(range(start, start + 16))) for start in (0, 16, 32)]
    one = tables(run_tasks(tasks, ATTACK))
    with joblib.parallel_config("loky"):
        several = list(run_tasks(tasks, ATTACK))
    assert [f.examples["stay_id"].min() for f in several] == [100, 116, 132]
    assert [a.equals(b) for a, b in zip(tables(several), one, strict=True)] == [True, True]


# what is stored


def stored(task: Task, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    examples, cells = tables([run_task(task, ATTACK)])
    write_table(folder / "examples.parquet", examples, EXAMPLES)
    write_table(folder / "perturbations.parquet", cells, PERTURBATIONS)
    return read_table(folder / "examples.parquet", EXAMPLES), read_table(
        folder / "perturbations.parquet", PERTURBATIONS
    )


def test_a_stored_flip_flips_again_from_disk(tmp_path: Path) -> None:
    model = Recurrent(3 * M, 16)
    task = make_task(40, model)
    examples, perturbations = stored(task, tmp_path)
    x = task.victim.scaler.apply(task.grid)
    successes = examples[examples["success"]]
    assert len(successes) > 60
    for row in successes.itertuples():
        i = int(row.stay_id) - 100
        cells = perturbations[
            (perturbations["stay_id"] == row.stay_id) & (perturbations["kind"] == row.kind)
        ]
        column = [NAMES.index(name) for name in cells["measurement"]]
        changed = x[i].copy()
        changed[cells["hour"], column] = np.clip(
            changed[cells["hour"], column] + cells["delta"], 0, 1
        )
        with torch.no_grad():
            before, after = model(torch.from_numpy(np.stack([x[i], changed])))
        assert int(before.argmax()) == task.y[i] != int(after.argmax())
        assert row.direction == ("0→1" if task.y[i] == 0 else "1→0")
        assert float(after[task.y[i]] - after[1 - task.y[i]]) == pytest.approx(row.margin, abs=1e-5)
        assert row.l0 == len(cells) > 0
        assert row.l1 == pytest.approx(cells["delta"].abs().sum(), rel=1e-6)
        assert row.linf == cells["delta"].abs().max()
        np.testing.assert_array_equal(
            cells["observed"], np.isfinite(task.grid[i])[cells["hour"], column]
        )
        np.testing.assert_allclose(
            cells["delta_clinical"], cells["delta"] * SPAN[column], rtol=1e-6
        )
        assert row.fold == 0


def test_both_tables_are_sorted_and_each_stay_has_a_first_and_a_best(tmp_path: Path) -> None:
    task = make_task(9, Recurrent(3 * M, 16))
    examples, perturbations = stored(pick(task, [8, 3, 5, 0]), tmp_path)
    assert examples[["stay_id", "kind"]].to_numpy().tolist() == [
        [stay, kind] for stay in (100, 103, 105, 108) for kind in ("first", "best")
    ]
    place = perturbations.assign(
        kind=perturbations["kind"].map(["first", "best"].index),
        measurement=perturbations["measurement"].map(NAMES.index),
    )
    keys = place[["stay_id", "kind", "hour", "measurement"]].astype(int)
    pd.testing.assert_frame_equal(keys, keys.sort_values(list(keys), ignore_index=True))
    assert not keys.duplicated().any()


def test_only_perturbable_values_move() -> None:
    task = make_task(20, Recurrent(3 * M, 16), fixed=(0, 4, 18))
    cells = run_task(task, ATTACK).cells
    assert len(cells) > 0
    assert not set(cells["measurement"]) & {0, 4, 18}
    assert cells["measurement"].between(0, M - 1).all()

    def restless(model: object, x: Tensor, y: Tensor, *, lower: Tensor, upper: Tensor) -> Result:
        seen.append((x, lower, upper))
        return ATTACK(model, x, y, lower=lower, upper=upper)

    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    run_task(task, restless)
    x, lower, upper = seen[0]
    moves = lower < upper
    assert lower.shape == upper.shape == (20, T, M)  # the extra channels have no box
    assert moves[..., [0, 4, 18]].sum() == 0
    assert torch.equal(x[..., :M][~moves], lower[~moves])
    assert torch.equal(x[..., :M][~moves], upper[~moves])
    assert (lower[moves] == 0).all()
    assert (upper[moves] == 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_masks_hours_since_and_static_inputs_are_what_they_were_in_all_that_a_model_is_shown(
    method: str,
) -> None:
    """And a model sees them: it decides by the static inputs too."""

    class Listening(Recurrent):
        def forward(self, x: Tensor) -> Tensor:
            shown.append(x.detach().clone())
            return super().forward(x)

    shown: list[Tensor] = []
    grid, stays = make_grid(24), make_stays(np.arange(24))
    percentiles: dict[str, Any] = {
        "lower_percentile": 5,
        "upper_percentile": 95,
        "interpolation": "linear",
        "limit_direction": "both",
    }
    extra: dict[str, Any] = {
        "extra_channels": ("observed", "hours_since_observed"),
        "static_inputs": ("age", "sex", "icu_type"),
    }
    scaler = fit_scaler(grid, NAMES, stays, **percentiles, **extra)
    model = Listening(scaler.channels, 16).eval()
    x = torch.from_numpy(scaler.apply(grid, stays))
    task = Task(0, Victim(model, scaler), stays, grid, model.calibrate(x).numpy())
    other = task._replace(stays=stays.assign(age=stays["age"].to_numpy()[::-1]))
    assert not torch.equal(model(model_input(task)[0]), model(model_input(other)[0]))
    shown.clear()
    options = (
        {"kappa": 0.0, "penalty": 1e-3, "learning_rate": 0.05, "optimizer": "adam"}
        if method == "prior"
        else {}
    )
    found = run_task(task, partial(METHODS[method], iterations=20, **options))
    assert found.examples["success"].mean() > 0.2
    assert scaler.channels == 3 * M + 5
    known = {fixed.tobytes() for fixed in x[..., M:].numpy()}
    asked = [sample for batch in shown for sample in batch.numpy()]
    assert len(asked) > 2 * len(x)
    assert {sample[:, M:].tobytes() for sample in asked} == known
    assert len({sample[:, :M].tobytes() for sample in asked}) > len(x)  # the values do move


def test_a_flip_that_does_not_stand_a_second_look_is_a_failure() -> None:
    """An attack that claims success for what changes nothing."""

    def liar(model: object, x: Tensor, y: Tensor, *, lower: Tensor, upper: Tensor) -> Result:
        claim = Example(torch.full_like(lower, 2e-6), torch.ones_like(y, dtype=torch.int32))
        return Result(claim, claim)

    found = run_task(make_task(5, Recurrent(3 * M, 16)), liar)
    assert not found.examples["success"].any()
    assert (found.examples["iteration"] == -1).all()
    assert found.examples[["l0", "l1", "linf", "margin"]].isna().all(axis=None)
    assert len(found.cells) == 0


def test_failures_have_null_norms_in_the_table() -> None:
    task = make_task(6, Recurrent(3 * M, 16))
    found = run_task(task, partial(ATTACK, cap=1e-4))
    examples, cells = tables([found, Found(*(frame.iloc[:0] for frame in found))])
    assert [examples[name].null_count for name in ("l0", "l1", "linf", "margin")] == [12] * 4
    assert examples["success"].to_pylist() == [False] * 12
    assert cells.num_rows == 0


def test_an_unobserved_value_that_is_not_filled_in_never_moves() -> None:
    """Interpolation none leaves NaN in the model input; the network reads 0 there."""

    class Gaps(Scaling):
        def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
            return np.concatenate(
                [grid, np.isfinite(grid), np.full_like(grid, 0.7)], axis=2, dtype=np.float32
            )

    task = make_task(30, Recurrent(3 * M, 16))
    model, x = task.victim.model, torch.from_numpy(Gaps().apply(task.grid)).nan_to_num()
    task = task._replace(victim=Victim(model, Gaps()), y=model.calibrate(x).numpy())
    found = run_task(task, ATTACK)
    assert found.examples["success"].mean() > 0.8
    assert found.cells["observed"].all()
    flipped = found.examples[found.examples["success"] & (found.examples["kind"] == "best")]
    for row in flipped.itertuples():
        cells = found.cells[
            (found.cells["stay_id"] == row.stay_id) & (found.cells["kind"] == "best")
        ]
        changed = x[row.stay_id - 100].clone()
        changed[cells["bin"].tolist(), cells["measurement"].tolist()] += torch.tensor(
            cells["delta"].tolist()
        )
        assert int(model(changed[None]).argmax()) != task.y[row.stay_id - 100]


def test_hour_is_the_first_hour_of_the_bin() -> None:
    found = [run_task(make_task(20, Recurrent(3 * M, 16)), ATTACK)]
    hourly, wider = (tables(found, hours)[1].to_pandas() for hours in (1, 6))
    assert hourly["hour"].max() > 0
    assert (wider["hour"] == 6 * hourly["hour"]).all()
    pd.testing.assert_frame_equal(hourly.drop(columns="hour"), wider.drop(columns="hour"))


@pytest.mark.gpu
def test_on_a_gpu_every_example_stands_a_second_look_on_the_cpu() -> None:
    task = make_task(40, Recurrent(3 * M, 32))
    model = task.victim.model
    x = torch.from_numpy(task.victim.scaler.apply(task.grid))
    on_gpu = for_attack(model).cuda()
    on_gpu.centre = model.centre.cuda()
    found = run_task(task._replace(victim=Victim(on_gpu, task.victim.scaler)), ATTACK)
    assert found.examples["success"].mean() > 0.9
    for row in found.examples[found.examples["success"]].itertuples():
        cells = found.cells[
            (found.cells["stay_id"] == row.stay_id) & (found.cells["kind"] == row.kind)
        ]
        changed = x[row.stay_id - 100].clone()
        changed[cells["bin"].tolist(), cells["measurement"].tolist()] += torch.tensor(
            cells["delta"].tolist()
        )
        assert int(model(changed[None]).argmax()) != task.y[row.stay_id - 100]


@pytest.mark.gpu
def test_on_a_gpu_results_do_not_depend_on_what_was_attacked_beside() -> None:
    """To the rounding of other kernels: the same stays flip, with the same cells."""
    task = make_task(200, Recurrent(3 * M, 32))
    on_gpu = for_attack(task.victim.model).cuda()
    on_gpu.centre = on_gpu.centre.cuda()
    task = task._replace(victim=Victim(on_gpu, task.victim.scaler))
    whole, few = (
        run_task(task, ATTACK).examples,
        run_task(pick(task, list(range(50, 90))), ATTACK).examples,
    )
    both = whole.merge(few, on=["stay_id", "kind"])
    assert len(both) == 80
    assert (both["success_x"] == both["success_y"]).all()
    assert ((both["l1_x"] - both["l1_y"]).abs() < 0.02 * both["l1_x"]).mean() > 0.95


def test_mixed_precision_never_changes_what_counts_as_flipped() -> None:
    """Attacked under autocast, where a margin has 8 bits; what is stored as a success flips the network in float32."""
    task = make_task(60, FeedForward(T * 3 * M, 32))
    with torch.autocast("cpu", torch.bfloat16):
        found = run_task(task, ATTACK)
    examples = found.examples[found.examples["success"]]
    x = torch.from_numpy(task.victim.scaler.apply(task.grid))
    assert len(examples) > 20
    for row in examples.itertuples():
        cells = found.cells[
            (found.cells["stay_id"] == row.stay_id) & (found.cells["kind"] == row.kind)
        ]
        changed = x[row.stay_id - 100].clone()
        changed[cells["bin"].tolist(), cells["measurement"].tolist()] += torch.tensor(
            cells["delta"].tolist()
        )
        assert int(task.victim.model(changed[None]).argmax()) != task.y[row.stay_id - 100]
