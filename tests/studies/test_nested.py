"""Nested cross-validation on a tiny cohort."""

import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_world import lay, make_cohort, small
from optuna.trial import FrozenTrial
from sklearn.metrics import precision_score, recall_score

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths, resume
from icu_adversarial.core.io import read_json, six_digits
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.scores import rank_scores
from icu_adversarial.model.training import log_odds
from icu_adversarial.search.space import decode
from icu_adversarial.search.study import best_trial
from icu_adversarial.studies import nested

pytestmark = pytest.mark.usefixtures("_empty_folder")


def run(params: Params, cohort: pd.DataFrame, grid: np.ndarray) -> dict[str, Any]:
    lay(cohort, grid)
    nested.run(small(params, tune_model={"trials": 2}))
    found: dict[str, Any] = read_json(paths.METRICS / "nested" / "metrics.json")
    return found


def kept_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nested.run would delete is moved to kept/."""
    moved = SimpleNamespace(rmtree=lambda folder, **_: shutil.move(folder, "kept"))
    monkeypatch.setattr(resume, "shutil", moved)


def challenge_score(died: np.ndarray, called: np.ndarray) -> float:
    return min(recall_score(died, called), precision_score(died, called, zero_division=0))


def best_on_inner_fold(
    params: Params, cohort: pd.DataFrame, grid: np.ndarray, k: int, folder: Path
) -> float:
    """The highest of the thresholds with the best score on the inner fold."""
    inside = cohort["fold"].between(0, 2) & (cohort["fold"] != k)
    own, options = cohort[inside], small(params).tune_model
    inner = assign_folds(
        *(own[name].to_numpy() for name in ("subject_id", "died")),
        folds=options.folds,
        seed=options.fold_seed,
    )
    scaler, died = Scaler.load(folder / "scaler.json"), own["died"].to_numpy()[inner == 0]
    z = log_odds(load_model(folder), scaler.apply(grid[inside][inner == 0], own[inner == 0]))
    ranked = np.unique(z)[::-1]
    limits = [(high + low) / 2 for high, low in pairwise(ranked)]
    return max([*limits, ranked[-1] - 1], key=lambda limit: challenge_score(died, z > limit))


def test_every_fold_is_scored_by_a_network_that_never_saw_it(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_models(monkeypatch)
    cohort, grid = make_cohort()
    found = run(params, cohort, grid)
    assert len(found["each"]) == 3
    for k, fold in enumerate(found["each"]):
        folder, outer = Path("kept") / f"fold_{k}", (cohort["fold"] == k).to_numpy()
        x = Scaler.load(folder / "scaler.json").apply(grid[outer], cohort[outer])
        died, z = cohort["died"].to_numpy()[outer], log_odds(load_model(folder), x)
        assert fold["auroc"] == pytest.approx(rank_scores(died, z)[0], rel=1e-5)
        assert fold["accuracy"] == pytest.approx(((z > 0) == died).mean(), rel=1e-5)
        assert fold["challenge_score"] == pytest.approx(
            challenge_score(died, z > best_on_inner_fold(params, cohort, grid, k, folder)), rel=1e-5
        )
        assert fold["hyperparameters"] == six_digits(read_json(folder / "model.json")["model"])
    aurocs = [fold["auroc"] for fold in found["each"]]
    assert found["folds"]["auroc"] == {
        "mean": pytest.approx(np.mean(aurocs), rel=1e-5),
        "sd": pytest.approx(np.std(aurocs, ddof=1), rel=1e-4),
    }
    assert found["folds"]["auroc"]["mean"] > 0.7
    assert found["source"] == params.extract.label


def test_each_fold_takes_the_best_of_its_own_search(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[list[FrozenTrial]] = []

    def watched(*arguments: Any) -> list[FrozenTrial]:
        searched.append(search_network(*arguments))
        return searched[-1]

    search_network = nested.search_network
    monkeypatch.setattr(nested, "search_network", watched)
    lay(*make_cohort(stays=120))
    nested.run(small(params, model={"n_fc": 3}))  # which no search can draw
    found = read_json(paths.METRICS / "nested" / "metrics.json")["each"]
    assert len(found) == len(searched) == 3
    for fold, trials in zip(found, searched, strict=True):
        assert fold["hyperparameters"] == fold["hyperparameters"] | six_digits(
            decode(best_trial(trials, "minimize").params)
        )
        assert fold["hyperparameters"]["n_fc"] in (4, 8, 16)
    nested.run(small(params, model={"n_fc": 3}, tune_model={"trials": 0}))
    assert [
        fold["hyperparameters"]["n_fc"]
        for fold in read_json(paths.METRICS / "nested" / "metrics.json")["each"]
    ] == [3] * 3
    assert len(searched) == 3


def test_the_outer_fold_and_the_test_set_decide_nothing(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other outcomes and other records in fold 0 and in the test set: the same hyperparameters and the same bytes of fold 0's network and scaler."""
    kept_models(monkeypatch)
    cohort, grid = make_cohort(stays=120)
    before = run(params, cohort, grid)
    files = ("model.safetensors", "model.json", "scaler.json")
    kept = {k: [(Path("kept") / f"fold_{k}" / name).read_bytes() for name in files] for k in (0, 1)}
    shutil.rmtree("kept")
    unseen = (cohort["fold"] <= 0).to_numpy()
    grid[unseen] = np.random.default_rng(9).normal(100, 50, grid[unseen].shape)
    after = run(params, cohort.assign(died=cohort["died"] ^ unseen), grid)
    assert [(Path("kept") / "fold_0" / name).read_bytes() for name in files] == kept[0]
    assert (Path("kept") / "fold_1" / "model.safetensors").read_bytes() != kept[1][
        0
    ]  # which learned from fold 0
    assert after["each"][0]["hyperparameters"] == before["each"][0]["hyperparameters"]
    assert after["each"][0]["auroc"] != before["each"][0]["auroc"]


def test_permuted_labels_score_auroc_one_half(params: Params) -> None:
    cohort, grid = make_cohort(stays=480)
    permuted = np.random.default_rng(1).permutation(cohort["died"].to_numpy())
    assert run(params, cohort.assign(died=permuted), grid)["folds"]["auroc"][
        "mean"
    ] == pytest.approx(0.5, abs=0.1)


def test_a_run_that_was_killed_goes_on_to_the_same_result(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, grid = make_cohort(stays=120)
    whole = run(params, cohort, grid)
    assert not list(Path(".state/nested").iterdir())  # nothing is left of a run that ended
    trained = []

    def breaks(*arguments: Any) -> Any:
        trained.append(arguments)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train_folds(*arguments)

    train_folds = nested.train_folds
    monkeypatch.setattr(nested, "train_folds", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(params, cohort, grid)
    assert run(params, cohort, grid) == whole
