from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from literature_set import NAMES
from model_world import lay, make_cohort, small

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_json, six_digits
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.fold_data import make_fold
from icu_adversarial.model.training import advance, seed_of, start
from icu_adversarial.model.tuning import search_network
from icu_adversarial.search.figures import COLUMNS
from icu_adversarial.search.space import decode
from icu_adversarial.search.study import best_trial
from icu_adversarial.stages import tune_model

pytestmark = pytest.mark.usefixtures("_empty_folder")


@pytest.mark.parametrize("keep", ["last", "best"])
def test_the_first_trial_is_the_model_itself_and_the_search_never_ends_behind_it(
    tmp_path: Path, params: Params, keep: str
) -> None:
    """Its value is the fold mean of the held-out loss of the weights that are kept: the last ones, or those of the best round.

    Of outcomes that the records say nothing of, the loss rises again.
    """
    unsteady = {"keep": keep, "n_summary": 0, "learning_rate": 0.1, "schedule": "constant"}
    chosen = small(params, model=unsteady, tune_model={"rounds": 3, "epochs_per_round": 3})
    cohort, grid = make_cohort(stays=120)
    cohort["died"] = np.random.default_rng(0).permutation(cohort["died"])
    trials = search_network(chosen, cohort, grid, tmp_path / "state")
    model = chosen.model
    assert model == model.changed(decode(trials[0].params))
    fold = assign_folds(
        cohort["subject_id"].to_numpy(),
        cohort["died"].to_numpy(),
        folds=2,
        seed=chosen.tune_model.fold_seed,
    )
    losses = []
    for k in range(2):
        data, _ = make_fold(grid, NAMES, cohort, fold == k, chosen.features, chosen.model)
        seed = seed_of(chosen.tune_model.seed, k)
        state = start(data, model, seed)
        for _ in range(3):
            state = advance(state, data, model, epochs=3, of=9, seed=seed)
        losses.append([h["held_out_loss"] for h in state.history])
    rounds = np.mean(losses, axis=0)
    assert min(rounds) < rounds[-1]
    assert trials[0].value == pytest.approx(min(rounds) if keep == "best" else rounds[-1])
    assert best_trial(trials, "minimize").value <= trials[0].value
    assert len(trials) == chosen.tune_model.trials


@pytest.mark.parametrize("percentile", [0, 25, 100])
def test_a_trial_goes_on_while_it_is_within_the_percentile_of_the_complete_ones(
    tmp_path: Path, params: Params, percentile: int
) -> None:
    """From the second round on, the first two trials excepted; never after the last round."""
    pruner = {
        "pruner_startup_trials": 2,
        "pruner_warmup_rounds": 1,
        "pruner_percentile": percentile,
    }
    chosen = small(params, tune_model={"trials": 8, "rounds": 4} | pruner)
    trials = search_network(chosen, *make_cohort(stays=120), tmp_path / "state")
    complete: list[list[float]] = []
    for trial in trials:
        reports = [loss for _, loss in sorted(trial.intermediate_values.items())]
        behind = [
            len(complete) >= 2
            and min(reports[: step + 1])
            > np.percentile([losses[step] for losses in complete], percentile)
            for step in range(1, min(len(reports), 3))
        ]
        pruned = len(reports) < 4
        assert behind == [False] * (len(behind) - pruned) + [True] * pruned
        assert trial.state.name == ("PRUNED" if pruned else "COMPLETE")
        assert trial.user_attrs["epochs"] == 2 * len(reports)
        if not pruned:
            complete.append(reports)
    assert percentile == 100 or len(complete) < 8


def test_a_model_outside_the_ranges_does_not_stop_the_search(
    tmp_path: Path, params: Params
) -> None:
    cohort, grid = make_cohort(stays=60)
    trials = search_network(
        small(params, model={"n_fc": 0, "n_lstm": 100}), cohort, grid, tmp_path / "state"
    )
    assert len(trials) == 3
    assert {decode(t.params)["n_lstm"] for t in trials} <= {4, 8}


def test_the_test_set_has_no_part_in_the_search(params: Params) -> None:
    cohort, grid = make_cohort(stays=120)
    lay(cohort, grid)
    tune_model.run(small(params))
    before = (paths.TUNE_MODEL / "best.json").read_bytes()
    table = pd.read_parquet(paths.TUNE_MODEL / "trials.parquet")
    test = cohort["is_test"].to_numpy()
    grid[test] = 1e6
    lay(
        cohort.assign(
            died=cohort["died"] ^ test, age=np.where(test, np.float32(18), cohort["age"])
        ),
        grid,
    )
    tune_model.run(small(params))
    assert (paths.TUNE_MODEL / "best.json").read_bytes() == before
    pd.testing.assert_frame_equal(pd.read_parquet(paths.TUNE_MODEL / "trials.parquet"), table)


def test_the_best_trial_is_what_training_gets(params: Params) -> None:
    lay(*make_cohort(stays=120))
    tune_model.run(small(params))
    best, metrics = (
        read_json(paths.TUNE_MODEL / "best.json"),
        read_json(paths.METRICS / "tune_model" / "metrics.json"),
    )
    table = pd.read_parquet(paths.TUNE_MODEL / "trials.parquet")
    row = table.loc[best["trial"]]
    assert best["value"] == table.loc[table["state"] == "complete", "value"].min()
    drawn = {
        name: best["hyperparameters"][name]
        for name in ("n_lstm", "n_fc", "learning_rate", "optimizer", "batch_size", "dropout")
    }
    assert drawn == {name: row[name] for name in drawn}
    assert best["hyperparameters"]["architecture"] == params.model.architecture
    assert (metrics["best"], metrics["best_held_out_loss"], metrics["best_auroc"]) == (
        six_digits(best["hyperparameters"]),
        six_digits(best["value"]),
        six_digits(float(row["auroc"])),
    )
    assert metrics["epochs"] == table["epochs"].sum() <= 3 * 2 * 2


def test_without_trials_the_model_is_that_of_the_parameters(params: Params) -> None:
    lay(*make_cohort(stays=60))
    tune_model.run(small(params, tune_model={"trials": 0}))
    expected: dict[str, Any] = small(params).model.model_dump(mode="json")
    assert read_json(paths.TUNE_MODEL / "best.json") == {
        "trial": None,
        "value": None,
        "hyperparameters": expected,
    }
    metrics = read_json(paths.METRICS / "tune_model" / "metrics.json")
    assert (
        metrics["trials"],
        metrics["epochs"],
        metrics["best_held_out_loss"],
        metrics["best"],
    ) == (0, 0, None, expected)
    assert pd.read_parquet(paths.TUNE_MODEL / "trials.parquet").empty
    for name, columns in COLUMNS.items():
        table = pd.read_csv(paths.METRICS / "tune_model" / "plots" / f"{name}.csv")
        assert list(table) == [*columns, "source"]
        assert table["note"].tolist() == ["Nothing to show: no search was run"]
