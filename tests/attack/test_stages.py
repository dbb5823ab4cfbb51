"""tune_attack and attack on a tiny cohort whose models are untrained."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from icu_adversarial import paths
from icu_adversarial.errors import InputError
from icu_adversarial.features.scaling import Scaler, fit_scaler
from icu_adversarial.files import read_array, read_json, write_array, write_json
from icu_adversarial.measurements import NAMES, M
from icu_adversarial.model.networks import build, save_model
from icu_adversarial.params import Params, load_params
from icu_adversarial.stages import attack, tune_attack
from icu_adversarial.tables import COHORT, EXAMPLES, PERTURBATIONS, PREDICTIONS, read_table, write_table

N, T, FOLDS = 90, 8, 3
OBJECTIVE = "robust_l0"
ARCHITECTURE = {"n_lstm": 8, "lstm_activation": "tanh", "dropout": 0.1, "n_fc": 8, "fc_activation": "tanh"}


def make_params(**attack_changes: Any) -> Params:
    content = load_params(Path(__file__).parents[2] / "params.yaml").model_dump()
    content["window_hours"] = T
    content["tune_attack"] |= {"trials": 6, "max_stays": 40, "iterations": 12, "pruner_startup_trials": 2, "seed": 5}
    content["tune_attack"]["space"]["l0"] |= {"cap": [0.02, 0.2, 1.0]}  # the first two often fail
    content["attack"] |= {"iterations": 30, "max_stays": None} | attack_changes
    return Params.model_validate(content)


def write_world(classes: tuple[int, ...] = (0, 1)) -> None:
    """Grid, cohort, one model and scaler per fold, and the predictions of these models. Outcomes are the predictions, but for every tenth stay."""
    rng = np.random.default_rng(0)
    grid = rng.normal(100, 20, (N, T, M)).astype(np.float32)
    grid[rng.random(grid.shape) < 0.5] = np.nan
    grid[..., 4] = np.nan  # never observed: not perturbable
    stay_id = np.arange(1000, 1000 + N)
    fold = np.where(np.arange(N) < 75, np.arange(N) % FOLDS, -1).astype(np.int8)
    z = np.zeros((N, 2), np.float32)
    for k in range(FOLDS):
        scaler = fit_scaler(
            grid[fold != k], interpolation="linear", limit_direction="both", lower_percentile=5, upper_percentile=95, extra_channels=("observed",)
        )
        torch.manual_seed(k)
        network = build(scaler.channels, ARCHITECTURE).eval()
        with torch.no_grad():
            *_, weight, bias = network.parameters()  # of the last layer
            weight *= 20
            bias -= network(torch.from_numpy(scaler.apply(grid))).mean(0)
            z[fold == k] = network(torch.from_numpy(scaler.apply(grid[fold == k]))).numpy()
            z[fold == -1] += network(torch.from_numpy(scaler.apply(grid[fold == -1]))).numpy() / FOLDS
        folder = paths.MODELS / f"fold_{k}"
        save_model(folder, network, scaler.channels, ARCHITECTURE, {})
        scaler.save(folder / "scaler.json")
    predicted = z[:, 1] > z[:, 0]
    died = predicted ^ (np.arange(N) % 10 == 0)
    kept = np.isin(died, classes)
    split, probability = np.where(fold < 0, "test", "oof"), np.float32(0.5)
    predictions = pd.DataFrame(
        {
            "stay_id": stay_id,
            "split": split,
            "fold": fold,
            "probability": probability,
            "logit_0": z[:, 0],
            "logit_1": z[:, 1],
            "predicted": predicted,
            "died": died,
        }
    )
    cohort = pd.DataFrame({"stay_id": stay_id, "subject_id": stay_id, "died": died, "is_test": fold < 0, "fold": fold})
    cohort = cohort.assign(age=np.float32(60), sex="F", icu_type=None, source_group="tiny")
    write_table(paths.PREDICTIONS, predictions[kept], PREDICTIONS)
    write_table(paths.COHORT, cohort[kept], COHORT)
    write_array(paths.GRID, grid[kept])


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with joblib.parallel_config("sequential"):
        yield


def run_attack(params: Params, objective: str = OBJECTIVE) -> pd.DataFrame:
    """Run the attack alone, with hyperparameters as tune_attack writes them; the examples."""
    write_json(paths.TUNE_ATTACK / objective / "best.json", {"trial": 0, "value": 1.0, "hyperparameters": {"cap": 1.0, "patience": 2}})
    attack.run(params, objective)
    return read_table(paths.ATTACK / objective / "examples.parquet", EXAMPLES)


def run_both(params: Params, objective: str = OBJECTIVE) -> dict[str, bytes]:
    """Run both stages; the bytes of all their outputs."""
    tune_attack.run(params, objective)
    attack.run(params, objective)
    folders = (paths.TUNE_ATTACK, paths.ATTACK, paths.METRICS)
    return {str(file): file.read_bytes() for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()}


def test_every_eligible_stay_is_attacked_by_its_fold_and_the_outputs_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world()
    outputs = run_both(make_params())
    assert sorted(outputs) == [
        f"data/attack/{OBJECTIVE}/examples.parquet",
        f"data/attack/{OBJECTIVE}/perturbations.parquet",
        f"data/tune_attack/{OBJECTIVE}/best.json",
        f"data/tune_attack/{OBJECTIVE}/trials.parquet",
        f"metrics/attack/{OBJECTIVE}/metrics.json",
        f"metrics/attack/{OBJECTIVE}/plots/transfer.csv",
        f"metrics/tune_attack/{OBJECTIVE}/metrics.json",
        *(f"metrics/tune_attack/{OBJECTIVE}/plots/{name}.csv" for name in ("history", "importance", "slice", "slice_choice")),
    ]
    examples = read_table(paths.ATTACK / OBJECTIVE / "examples.parquet", EXAMPLES)
    perturbations = read_table(paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS)
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    eligible = predictions[(predictions["split"] == "oof") & (predictions["predicted"] == predictions["died"])].set_index("stay_id")
    best = examples[examples["kind"] == "best"].set_index("stay_id")
    assert best.index.tolist() == sorted(eligible.index)
    assert (best["fold"] == eligible["fold"].loc[best.index]).all()
    assert ((best["direction"] == "1→0") == eligible["died"].loc[best.index]).all()
    assert best["success"].mean() > 0.1
    assert "lactate" not in set(perturbations["measurement"])  # the column that training never saw

    scaler = Scaler.load(paths.MODELS / "fold_0" / "scaler.json")
    of_fold_0 = perturbations[perturbations["stay_id"].isin(best.index[best["fold"] == 0])]
    expected = of_fold_0["delta"] * scaler.clinical_span[of_fold_0["measurement"].cat.codes]
    np.testing.assert_allclose(of_fold_0["delta_clinical"], expected, rtol=1e-6)

    again = tmp_path / "again"
    again.mkdir()
    monkeypatch.chdir(again)
    monkeypatch.setenv("DVC_ROOT", str(again))
    write_world()
    assert run_both(make_params()) == outputs


def test_metrics_agree_with_the_tables() -> None:
    write_world()
    outputs = run_both(make_params())
    metrics = json.loads(outputs[f"metrics/attack/{OBJECTIVE}/metrics.json"])
    examples = read_table(paths.ATTACK / OBJECTIVE / "examples.parquet", EXAMPLES)
    best = examples[examples["kind"] == "best"]
    assert metrics["attacked"] == len(best) == metrics["0_to_1"]["attacked"] + metrics["1_to_0"]["attacked"]
    for name, rows in ((None, best), ("0_to_1", best[best["direction"] == "0→1"]), ("1_to_0", best[best["direction"] == "1→0"])):
        block = metrics if name is None else metrics[name]
        flipped = rows[rows["success"]]
        assert block["success_rate"] == pytest.approx(len(flipped) / len(rows))
        assert block["median_l1"] == pytest.approx(flipped["l1"].median())
        assert block["score"] == pytest.approx((len(flipped) + 1 - flipped["l0"].median() / (T * M)) / len(rows))
    first = examples[(examples["kind"] == "first") & examples["success"]]
    assert metrics["median_first_iteration"] == first["iteration"].median()


def test_the_best_trial_is_reported_and_poor_ones_are_pruned() -> None:
    write_world()
    tune_attack.run(make_params(), OBJECTIVE)
    best = read_json(paths.TUNE_ATTACK / OBJECTIVE / "best.json")
    metrics = read_json(paths.METRICS / "tune_attack" / OBJECTIVE / "metrics.json")
    trials = pq.read_table(paths.TUNE_ATTACK / OBJECTIVE / "trials.parquet").to_pandas()
    complete, pruned = trials[trials["state"] == "complete"], trials[trials["state"] == "pruned"]
    assert set(best["hyperparameters"]) == {"cap", "share", "candidates", "patience"}
    assert metrics["method"] == "l0"
    assert best["value"] == metrics["best_value"] == complete["value"].max() > 0
    assert (metrics["trials"], metrics["trials_pruned"]) == (6, len(pruned))
    assert len(pruned) > 0
    assert (pruned["last_step"] < FOLDS - 1).all()  # they were spared work: one task per fold here
    assert (complete["last_step"] == FOLDS - 1).all()
    row = trials.iloc[best["trial"]]
    for name in ("attacked", "success_rate", "median_l0", "median_l1", "median_linf"):
        assert metrics[name] == row[name]
    assert metrics["attacked"] == 40
    history = pd.read_csv(paths.METRICS / "tune_attack" / OBJECTIVE / "plots" / "history.csv")
    assert history["best"].iloc[-1] == pytest.approx(best["value"])
    assert history["source"].unique().tolist() == [metrics["source"]] == ["synthetic hospital (not real patients)"]


def test_a_cohort_of_one_direction_and_one_without_an_eligible_stay() -> None:
    write_world(classes=(0,))
    metrics = json.loads(run_both(make_params())[f"metrics/attack/{OBJECTIVE}/metrics.json"])
    assert metrics["1_to_0"]["attacked"] == 0
    assert metrics["1_to_0"]["success_rate"] is metrics["1_to_0"]["median_l1"] is None
    assert metrics["0_to_1"]["attacked"] == metrics["attacked"] > 0
    write_table(paths.PREDICTIONS, read_table(paths.PREDICTIONS, PREDICTIONS).query("split == 'test'"), PREDICTIONS)
    metrics = json.loads(run_both(make_params())[f"metrics/attack/{OBJECTIVE}/metrics.json"])
    assert (metrics["attacked"], metrics["score"], metrics["success_rate"]) == (0, 0, None)
    assert len(read_table(paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS)) == 0


def test_misclassified_stays_leave_the_predicted_class() -> None:
    write_world()
    examples = run_attack(make_params(attack_misclassified=True))
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS).set_index("stay_id")
    assert examples["stay_id"].nunique() == (predictions["split"] == "oof").sum()
    assert ((examples["direction"] == "1→0") == predictions["predicted"].loc[examples["stay_id"]].to_numpy()).all()
    assert (examples.loc[examples["success"], "l0"] > 0).all()


@pytest.mark.parametrize("objective", ["robust_l1", "sparse_small", "sparse_small_max", "sparsity", "max_num_nonzero_perts"])
def test_every_objective_is_searched_and_attacked_by_its_method(objective: str) -> None:
    write_world()
    content = make_params(max_stays=20).model_dump()
    content["tune_attack"]["trials"] = 2
    params = Params.model_validate(content)
    tune_attack.run(params, objective)
    attack.run(params, objective)
    found = read_json(paths.METRICS / "attack" / objective / "metrics.json")
    assert found["method"] == ("l1" if objective in ("robust_l1", "sparse_small", "sparse_small_max") else "l0")
    assert (found["attacked"], found["success_rate"] > 0.5, found["score"] > 0) == (20, True, True)


@pytest.mark.parametrize("method", ["prior", "sun", "l1", "l0"])
def test_a_named_method_is_used_for_every_objective_with_its_own_space(method: str) -> None:
    write_world()
    content = make_params(method=method, max_stays=10, iterations=4).model_dump()
    content["tune_attack"] |= {"max_stays": 10, "iterations": 4, "trials": 2}
    params = Params.model_validate(content)
    tune_attack.run(params, OBJECTIVE)
    attack.run(params, OBJECTIVE)
    best = read_json(paths.TUNE_ATTACK / OBJECTIVE / "best.json")["hyperparameters"]
    assert set(best) == set(params.tune_attack.space.model_dump()[method])
    trials = pq.read_table(paths.TUNE_ATTACK / OBJECTIVE / "trials.parquet").num_rows
    assert trials == (1 if method == "sun" else 2)  # one trial is enough where there is nothing to search
    assert read_json(paths.METRICS / "attack" / OBJECTIVE / "metrics.json")["method"] == method


def test_max_perts_rules_its_objective_and_no_other() -> None:
    write_world()
    scores = {}
    for max_perts in (1, 3):
        content = make_params(max_stays=20).model_dump()
        content["tune_attack"]["max_perts"] = max_perts
        for objective in ("max_num_nonzero_perts", "sparsity"):
            examples = run_attack(Params.model_validate(content), objective).query("kind == 'best' and success")
            scores[objective, max_perts] = read_json(paths.METRICS / "attack" / objective / "metrics.json")["score"]
            if objective == "max_num_nonzero_perts":
                assert scores[objective, max_perts] == (examples["l0"] <= max_perts).sum()
    assert scores["max_num_nonzero_perts", 1] < scores["max_num_nonzero_perts", 3]
    assert scores["sparsity", 1] == scores["sparsity", 3]


def test_the_limits_and_seeds_do_what_they_say() -> None:
    write_world()
    chosen = {}
    for changes in ({"max_stays": 12}, {"max_stays": 12, "seed": 7}, {"max_stays": 30}):
        examples = run_attack(make_params(**changes)).query("kind == 'best'")
        assert len(examples) == changes["max_stays"]
        assert (examples["direction"] == "0→1").sum() == changes["max_stays"] / 2
        chosen[tuple(changes.items())] = set(examples["stay_id"])
    small, reseeded, large = chosen.values()
    assert small != reseeded
    assert small < large
    assert run_attack(make_params(iterations=1, max_stays=12))["iteration"].max() <= 3  # each of the three parts of l0 is limited


def test_a_killed_attack_loses_one_block_and_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL in the second block of 16 stays; the next run reads the first one from its checkpoint."""
    write_world()
    run_attack(make_params())
    undisturbed = {file.name: file.read_bytes() for file in (paths.ATTACK / OBJECTIVE).iterdir()}
    shutil.rmtree(paths.ATTACK)
    (tmp_path / "params.json").write_text(make_params().model_dump_json())
    code = """
import os, signal, sys
from pathlib import Path
from icu_adversarial.attack import loop
from icu_adversarial.params import Params
from icu_adversarial.stages import attack
import joblib
loop.BLOCK = 16
begun = []
def attack_cohort(chosen, tasks, *rest, original=attack.attack_cohort):
    def counted(members):
        begun.append(members)
        print(len(begun), flush=True)
        if len(begun) == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        return tasks(members)
    return original(chosen, counted, *rest)
attack.attack_cohort = attack_cohort
with joblib.parallel_config("sequential"):
    attack.run(Params.model_validate_json(Path("params.json").read_text()), "robust_l0")
"""
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(Path(attack.__file__).parents[2]), "DVC_ROOT": str(tmp_path)}
    killed = subprocess.run([*command, "2"], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (paths.ATTACK / OBJECTIVE / "examples.parquet").exists()
    resumed = subprocess.run([*command, "99"], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert resumed.stdout.split() == ["1", "2", "3", "4"]  # of five blocks
    assert {file.name: file.read_bytes() for file in (paths.ATTACK / OBJECTIVE).iterdir()} == undisturbed
    assert not list((tmp_path / ".state" / "attack").iterdir())


def test_the_ensemble_attacks_test_stays_that_no_fold_has_seen() -> None:
    write_world()
    examples = run_attack(make_params(target="ensemble")).query("kind == 'best'")
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS).set_index("stay_id")
    attacked = predictions.loc[examples["stay_id"]]
    assert len(examples) >= 5
    assert (attacked["split"] == "test").all()
    assert (attacked["predicted"] == attacked["died"]).all()
    assert (examples["fold"] == -1).all()
    assert examples["success"].all()
    victims = attack.read_victims([attack.ENSEMBLE, 0, 1, 2])
    ensemble, grid = victims[attack.ENSEMBLE], read_array(paths.GRID)
    stay_id = read_table(paths.COHORT, COHORT)["stay_id"]
    cells = read_table(paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS)
    for row in examples.itertuples():
        clean = np.array(grid[stay_id == row.stay_id])
        logits = ensemble.model(torch.from_numpy(ensemble.scaler.apply(clean)))
        each = [victims[k].model(torch.from_numpy(victims[k].scaler.apply(clean))) for k in range(FOLDS)]
        assert torch.allclose(logits, torch.stack(each).mean(0), atol=1e-5)  # as in predictions
        own = cells[(cells["stay_id"] == row.stay_id) & (cells["kind"] == "best")]
        moved = []
        for k in range(FOLDS):  # by the same amount in clinical units, each member within its own limits
            scaler = victims[k].scaler
            x = scaler.apply(clean)
            span = np.where(scaler.perturbable, scaler.clinical_span, np.inf)
            for cell in own.itertuples():
                j = NAMES.index(cell.measurement)
                x[0, cell.hour, j] = np.clip(x[0, cell.hour, j] + cell.delta_clinical / span[j], 0, 1)
            moved.append(victims[k].model(torch.from_numpy(x)))
        assert torch.stack(moved).mean(0).argmax() != logits.argmax()


def test_the_transfer_table_counts_what_flips_each_model() -> None:
    write_world()
    examples = run_attack(make_params()).query("kind == 'best' and success")
    table = pd.read_csv(paths.METRICS / "attack" / OBJECTIVE / "plots" / "transfer.csv")
    assert set(table["attacked"]) == {"fold 0", "fold 1", "fold 2"}
    assert set(table["scored"]) == {"ensemble", "fold 0", "fold 1", "fold 2"}
    own = table[table["attacked"] == table["scored"]]
    assert (own["flipped"] == 1).all()
    assert own["examples"].sum() == len(examples)
    other = table[(table["attacked"] != table["scored"]) & (table["examples"] > 0)]
    assert other["flipped"].between(0, 1).all()
    assert other["flipped"].mean() < 1

    attacked, scored, direction = "fold 0", "fold 1", "0→1"
    victims, grid = attack.read_victims([1]), read_array(paths.GRID)
    stay_id = read_table(paths.COHORT, COHORT)["stay_id"]
    cells = read_table(paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS).query("kind == 'best'")
    counts = []
    for row in examples[(examples["fold"] == 0) & (examples["direction"] == direction)].itertuples():
        scaler = victims[1].scaler
        x = scaler.apply(np.array(grid[stay_id == row.stay_id]))
        before = int(victims[1].model(torch.from_numpy(x)).argmax())
        for cell in cells[cells["stay_id"] == row.stay_id].itertuples():
            j = NAMES.index(cell.measurement)
            x[0, cell.hour, j] = np.clip(x[0, cell.hour, j] + cell.delta_clinical / scaler.clinical_span[j], 0, 1)
        if before == 0:
            counts.append(int(victims[1].model(torch.from_numpy(x)).argmax()) == 1)
    row = table[(table["attacked"] == attacked) & (table["scored"] == scored) & (table["direction"] == direction)].iloc[0]
    assert (row["examples"], row["flipped"]) == (len(counts), pytest.approx(np.mean(counts)))


def test_a_missing_input_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"predictions\.parquet is missing"):
        tune_attack.run(make_params(), OBJECTIVE)
    with pytest.raises(InputError, match=r"best\.json is missing"):
        attack.run(make_params(), OBJECTIVE)
