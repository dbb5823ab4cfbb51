"""tune_attack, attack and probe on a tiny cohort whose models are untrained."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from attack_tasks import one_process
from attack_world import (
    FOLDS,
    OBJECTIVE,
    logits,
    make_params,
    run_attack,
    write_model,
    write_world,
)
from literature_set import NAMES, M
from optuna.trial import FrozenTrial

from icu_adversarial.attack.victims import read_file, read_victims
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json, six_digits
from icu_adversarial.core.schemas import (
    COHORT,
    ENSEMBLE,
    EXAMPLES,
    FILE,
    PERTURBATIONS,
    PREDICTIONS,
    read_table,
    write_table,
)
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.search.live import LiveStudy
from icu_adversarial.stages import attack, probe, tune_attack

LIVE = sorted(
    ["value", "attacked", "success_rate"]
    + [f"median_{name}" for name in ("iteration", "l0", "l1", "linf")]
)


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with one_process():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after the three stages with make_params()."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch, one_process():
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        write_world()
        run_all(make_params())
    return folder


@pytest.fixture
def done(whole: Path) -> None:
    """The current folder is a copy of it."""
    shutil.copytree(whole, ".", dirs_exist_ok=True)


def run_all(params: Params) -> dict[str, bytes]:
    """Run the three stages; the bytes of all their outputs."""
    tune_attack.run(params, OBJECTIVE)
    attack.run(params, OBJECTIVE)
    probe.run(params, OBJECTIVE)
    return outputs()


def outputs() -> dict[str, bytes]:
    folders = (paths.TUNE_ATTACK, paths.ATTACK, paths.METRICS)
    return {
        str(file): file.read_bytes()
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.usefixtures("done")
def test_every_eligible_stay_is_attacked_by_its_fold_and_the_outputs_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = outputs()
    assert set(once) == {
        f"data/attack/{OBJECTIVE}/examples.parquet",
        f"data/attack/{OBJECTIVE}/edits.parquet",
        f"data/attack/{OBJECTIVE}/perturbations.parquet",
        f"data/tune_attack/{OBJECTIVE}/best.json",
        f"data/tune_attack/{OBJECTIVE}/trials.parquet",
        f"metrics/probe/{OBJECTIVE}/metrics.json",
        f"metrics/probe/{OBJECTIVE}/plots/transfer.csv",
        f"metrics/tune_attack/{OBJECTIVE}/metrics.json",
        *(
            f"metrics/tune_attack/{OBJECTIVE}/plots/{name}.csv"
            for name in ("history", "importance", "slice", "slice_choice")
        ),
        *(f"metrics/tune_attack/{OBJECTIVE}/plots/metrics/{name}.tsv" for name in LIVE),
    }
    examples = read_table(paths.ATTACK / OBJECTIVE / "examples.parquet", EXAMPLES)
    perturbations = read_table(paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS)
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    eligible = predictions[
        (predictions["split"] == "oof") & (predictions["predicted"] == predictions["died"])
    ].set_index("stay_id")
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
    assert run_all(make_params()) == once


@pytest.mark.usefixtures("done")
def test_the_best_trial_is_reported_and_poor_ones_are_pruned() -> None:
    best = read_json(paths.TUNE_ATTACK / OBJECTIVE / "best.json")
    metrics = read_json(paths.METRICS / "tune_attack" / OBJECTIVE / "metrics.json")
    trials = pq.read_table(paths.TUNE_ATTACK / OBJECTIVE / "trials.parquet").to_pandas()
    complete, pruned = trials[trials["state"] == "complete"], trials[trials["state"] == "pruned"]
    assert set(best["hyperparameters"]) == {"cap", "share", "candidates", "patience", "starts"}
    assert metrics["method"] == "l0"
    assert best["value"] == complete["value"].max() > 0
    assert metrics["best_value"] == six_digits(best["value"])
    assert (metrics["trials"], metrics["trials_pruned"]) == (6, len(pruned))
    assert len(pruned) > 0
    assert (pruned["last_step"] < FOLDS - 1).all()  # they were spared work: one task per fold here
    assert (complete["last_step"] == FOLDS - 1).all()
    assert complete["attacked"].eq(40).all()
    assert pruned["attacked"].between(1, 39).all()  # those attacked before the trial was pruned
    assert pruned["success_rate"].notna().all()
    row = trials.iloc[best["trial"]]
    for name in ("attacked", "success_rate", "median_l0", "median_l1", "median_linf"):
        assert metrics[name] == pytest.approx(row[name], rel=1e-5)
    assert metrics["attacked"] == 40
    history = pd.read_csv(paths.METRICS / "tune_attack" / OBJECTIVE / "plots" / "history.csv")
    assert history["best"].iloc[-1] == pytest.approx(row["median_l0"])
    shown = history.set_index("trial")["value"].dropna()
    assert shown.tolist() == pytest.approx(complete["median_l0"].tolist())
    assert (
        history["source"].unique().tolist()
        == [metrics["source"]]
        == ["synthetic hospital (not real patients)"]
    )


def test_a_cohort_of_one_direction_and_one_without_an_eligible_stay() -> None:
    write_world(classes=(0,))
    metrics = json.loads(run_all(make_params())[f"metrics/probe/{OBJECTIVE}/metrics.json"])
    assert metrics["1_to_0"]["attacked"] == 0
    assert metrics["1_to_0"]["success_rate"] is metrics["1_to_0"]["median_l1"] is None
    assert metrics["0_to_1"]["attacked"] == metrics["attacked"] > 0
    write_table(
        paths.PREDICTIONS,
        read_table(paths.PREDICTIONS, PREDICTIONS).query("split == 'test'"),
        PREDICTIONS,
    )
    metrics = json.loads(run_all(make_params())[f"metrics/probe/{OBJECTIVE}/metrics.json"])
    assert (metrics["attacked"], metrics["score"], metrics["success_rate"]) == (0, 0, None)
    assert len(read_table(paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS)) == 0


def test_misclassified_stays_leave_the_predicted_class() -> None:
    write_world()
    examples = run_attack(make_params(attack_misclassified=True))
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS).set_index("stay_id")
    assert examples["stay_id"].nunique() == (predictions["split"] == "oof").sum()
    assert (
        (examples["direction"] == "1→0")
        == predictions["predicted"].loc[examples["stay_id"]].to_numpy()
    ).all()
    assert (examples.loc[examples["success"], "l0"] > 0).all()


@pytest.mark.parametrize(
    "objective",
    ["robust_l1", "sparse_small", "sparse_small_max", "sparsity", "max_num_nonzero_perts"],
)
def test_every_objective_is_searched_and_attacked_by_its_method(objective: str) -> None:
    write_world()
    content = make_params(max_stays=20).model_dump()
    content["tune_attack"]["trials"] = 2
    params = Params.model_validate(content)
    tune_attack.run(params, objective)
    attack.run(params, objective)
    probe.run(params, objective)
    found = read_json(paths.METRICS / "probe" / objective / "metrics.json")
    assert found["method"] == (
        "l1" if objective in ("robust_l1", "sparse_small", "sparse_small_max") else "l0"
    )
    assert (found["attacked"], found["success_rate"] > 0.5, found["score"] > 0) == (20, True, True)


@pytest.mark.parametrize("method", ["prior", "sun", "l1", "l0"])
def test_a_named_method_is_used_for_every_objective_with_its_own_space(method: str) -> None:
    write_world()
    content = make_params(method=method, max_stays=10, iterations=4).model_dump()
    content["tune_attack"] |= {"max_stays": 10, "iterations": 4, "trials": 2}
    params = Params.model_validate(content)
    tune_attack.run(params, OBJECTIVE)
    attack.run(params, OBJECTIVE)
    probe.run(params, OBJECTIVE)
    best = read_json(paths.TUNE_ATTACK / OBJECTIVE / "best.json")["hyperparameters"]
    assert set(best) == set(params.tune_attack.space.model_dump()[method])
    trials = pq.read_table(paths.TUNE_ATTACK / OBJECTIVE / "trials.parquet").num_rows
    assert trials == (
        1 if method == "sun" else 2
    )  # one trial is enough where there is nothing to search
    assert read_json(paths.METRICS / "probe" / OBJECTIVE / "metrics.json")["method"] == method


def test_max_perts_rules_its_objective_and_no_other() -> None:
    write_world()
    scores = {}
    for max_perts in (1, 3):
        content = make_params(max_stays=20).model_dump()
        content["objectives"] = ["max_num_nonzero_perts", "sparsity"]
        content["tune_attack"]["max_perts"] = max_perts
        for objective in ("max_num_nonzero_perts", "sparsity"):
            changed = Params.model_validate(content)
            examples = run_attack(changed, objective).query("kind == 'best' and success")
            probe.run(changed, objective)
            scores[objective, max_perts] = read_json(
                paths.METRICS / "probe" / objective / "metrics.json"
            )["score"]
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
    assert (
        run_attack(make_params(iterations=1, max_stays=12))["iteration"].max() <= 3
    )  # each of the three parts of l0 is limited


def test_the_searchs_own_limits_and_seed_do_what_they_say() -> None:
    write_world()
    found = {}
    for name, changes in {
        "as it is": {},
        "seed": {"seed": 6},
        "iterations": {"iterations": 1},
        "no pruning": {"pruner_startup_trials": 99},
    }.items():
        content = make_params().model_dump()
        content["tune_attack"] |= {"max_stays": 12, "trials": 4} | changes
        content["tune_attack"]["space"]["l0"]["starts"] = (
            1,
        )  # the second one finds in one iteration what the first one finds in two
        tune_attack.run(Params.model_validate(content), OBJECTIVE)
        trials = pq.read_table(paths.TUNE_ATTACK / OBJECTIVE / "trials.parquet").to_pandas()
        metrics = read_json(paths.METRICS / "tune_attack" / OBJECTIVE / "metrics.json")
        assert (len(trials), metrics["attacked"]) == (4, 12)
        found[name] = trials
    parameters = ["cap", "share", "candidates", "patience", "starts"]
    assert not found["seed"][parameters].equals(found["as it is"][parameters])
    pd.testing.assert_series_equal(
        found["iterations"].loc[0, parameters], found["as it is"].loc[0, parameters]
    )
    assert found["iterations"]["value"].max() < found["as it is"]["value"].max()
    assert found["no pruning"]["state"].eq("complete").all()


def test_the_trials_are_live_and_a_resumed_search_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_world()
    tune_attack.run(make_params(), OBJECTIVE)
    whole = outputs()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "again"))
    live, update = paths.METRICS / "tune_attack" / OBJECTIVE / "plots", LiveStudy.update

    def interrupted(study: LiveStudy, trials: list[FrozenTrial]) -> None:
        update(study, trials)
        if len(trials) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LiveStudy, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune_attack.run(make_params(), OBJECTIVE)
    assert pd.read_csv(live / "history.csv")["trial"].tolist() == [0, 1, 2]
    for name in ("value", "success_rate"):
        content = (live / "metrics" / f"{name}.tsv").read_bytes()
        assert content.count(b"\n") == 1 + 3
        assert whole[str(live / "metrics" / f"{name}.tsv")].startswith(content)
    tune_attack.run(make_params(), OBJECTIVE)
    assert outputs() == whole


KILLED = """
import os, sys, time
from functools import partial
from pathlib import Path
from icu_adversarial.attack import inputs
from icu_adversarial.config.params import Params
from icu_adversarial.stages import attack

def noted(*arguments, method, **options):  # a task begins: a line in a file, and time to be killed in
    with open("begun", "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.2)
    return method(*arguments, **options)

inputs.METHODS["l0"] = partial(noted, method=inputs.METHODS["l0"])
attack.attack_cohort = partial(attack.attack_cohort, size=4)
attack.run(Params.model_validate_json(Path("params.json").read_text()), sys.argv[1])
"""


def test_a_run_killed_at_any_moment_loses_at_most_a_task_per_process_and_ends_with_the_same_bytes(
    tmp_path: Path,
) -> None:
    """SIGKILL to the run and its two workers, twice, while tasks of four stays are attacked."""
    write_world()
    examples = run_attack(make_params())
    tasks = sum(
        -(-len(stays) // 4) for _, stays in examples[examples["kind"] == "best"].groupby("fold")
    )
    undisturbed = {file.name: file.read_bytes() for file in (paths.ATTACK / OBJECTIVE).iterdir()}
    shutil.rmtree(paths.ATTACK)
    Path("params.json").write_text(make_params().model_dump_json())
    begun = Path("begun")
    environment = os.environ | {
        "PYTHONPATH": str(Path(attack.__file__).parents[2]),
        "LOKY_MAX_CPU_COUNT": "2",
    }

    def number_begun() -> int:
        return begun.read_text().count("\n") if begun.exists() else 0

    def number_stored() -> int:
        return len(list((tmp_path / ".state").glob("attack/*/task_*.sha256")))

    moments = random.Random()
    for _ in range(2):
        stored = number_stored()
        until, moment = (
            number_begun() + moments.randint(1, max(1, (tasks - stored) // 2)),
            moments.uniform(0, 0.4),
        )
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, OBJECTIVE],
            env=environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as run:
            while number_begun() < until:
                assert run.poll() is None
                time.sleep(0.01)
            time.sleep(moment)
            os.killpg(run.pid, signal.SIGKILL)  # the workers too
        assert not (paths.ATTACK / OBJECTIVE).exists(), (until, moment)
        assert stored <= number_stored() <= tasks, (until, moment)
    subprocess.run(
        [sys.executable, "-c", KILLED, OBJECTIVE],
        env=environment,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    assert tasks <= number_begun() <= tasks + 2 * 2
    assert {
        file.name: file.read_bytes() for file in (paths.ATTACK / OBJECTIVE).iterdir()
    } == undisturbed
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
    victims = read_victims(NAMES, "grid")
    assert sorted(victims) == [ENSEMBLE, 0, 1, 2]
    widths = [victims[k].scaler.channels for k in range(FOLDS)]
    assert widths == [
        2 * M + 4,
        2 * M + 5,
        2 * M + 5,
    ]  # fold 0 does not know the ICU type that its own stays alone have
    for row in examples.itertuples():
        each = torch.stack([logits(victims[k], row.stay_id) for k in range(FOLDS)])
        assert torch.allclose(
            logits(victims[ENSEMBLE], row.stay_id), each.mean(0), atol=1e-5
        )  # as in predictions
        # by the same amount in clinical units, each member within its own limits
        moved = torch.stack([logits(victims[k], row.stay_id, moved=True) for k in range(FOLDS)])
        assert moved.mean(0).argmax() != each.mean(0).argmax()


def test_another_model_attacks_the_test_stays_that_it_gets_right() -> None:
    """Its decisions are its own: those of `predictions` do not matter."""
    write_world()
    elsewhere = Path("elsewhere/model")
    write_model(elsewhere, np.arange(90) % 2 == 0, seed=77)
    params = make_params(target="file", models=elsewhere)
    examples = run_attack(params)
    victim = read_file(elsewhere, NAMES, "grid")[FILE]
    cohort, predictions = (
        read_table(paths.COHORT, COHORT),
        read_table(paths.PREDICTIONS, PREDICTIONS).set_index("stay_id"),
    )
    test = cohort[cohort["is_test"]]
    decided = {stay: bool(logits(victim, stay).argmax() == 1) for stay in test["stay_id"]}
    right = [
        stay
        for stay, died in zip(test["stay_id"], test["died"], strict=True)
        if decided[stay] == died
    ]
    ensembles = predictions.index[
        (predictions["split"] == "test") & (predictions["predicted"] == predictions["died"])
    ]
    assert sorted(right) != sorted(ensembles)
    best = examples[examples["kind"] == "best"]
    assert best["stay_id"].tolist() == sorted(right)
    assert len(right) >= 4
    assert (best["fold"] == FILE).all()
    assert best["success"].all()
    for row in best.itertuples():
        assert row.direction == ("1→0" if decided[row.stay_id] else "0→1")
        assert bool(logits(victim, row.stay_id, moved=True).argmax() == 1) != decided[row.stay_id]

    probe.run(params, OBJECTIVE)
    table = pd.read_csv(paths.METRICS / "probe" / OBJECTIVE / "plots" / "transfer.csv")
    assert set(table["attacked"]) == set(table["scored"]) == {"file"}
    assert (table["flipped"] == 1).all()
    assert table["examples"].sum() == len(right)

    wrong = run_attack(
        make_params(target="file", models=elsewhere, attack_misclassified=True)
    ).query("kind == 'best'")
    assert wrong["stay_id"].tolist() == sorted(test["stay_id"])
    assert ((wrong["direction"] == "1→0") == [decided[stay] for stay in wrong["stay_id"]]).all()


def test_a_missing_input_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"predictions\.parquet is missing"):
        tune_attack.run(make_params(), OBJECTIVE)
    with pytest.raises(InputError, match=r"best\.json is missing"):
        attack.run(make_params(), OBJECTIVE)
    with pytest.raises(InputError, match=r"examples\.parquet is missing"):
        probe.run(make_params(), OBJECTIVE)
