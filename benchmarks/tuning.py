"""The cost of a search of the network on real patients, and the effect of pruning.

python benchmarks/tuning.py CHALLENGE_FOLDER --work FOLDER             # 60 trials, default ranges
python benchmarks/tuning.py CHALLENGE_FOLDER --work FOLDER --workers   # one and all workers

The patients are those of PhysioNet Challenge 2012, sets A and B. It reports how many epochs pruning
saves, and whether a pruned trial would have won. A stopped run continues in FOLDER if it has as
many workers as before. After a change of the code, use another folder.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # as in src/run.py, before torch is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import joblib
import numpy as np
import pandas as pd
from attack_victims import workplace
from optuna.trial import FrozenTrial, TrialState

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import digest, read_array
from icu_adversarial.core.parallel import workers
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.model.fold_data import Fold
from icu_adversarial.model.training import advance, seed_of, start
from icu_adversarial.model.tuning import search_folds, search_network
from icu_adversarial.search.space import decode
from icu_adversarial.search.study import best_trial

FEWER_EPOCHS = 0.4


def training_stays() -> tuple[pd.DataFrame, np.ndarray]:
    """The training rows of schemas.COHORT, and their grid."""
    cohort, grid = read_table(paths.COHORT, COHORT), np.asarray(read_array(paths.GRID))
    training = ~cohort["is_test"].to_numpy()
    return cohort[training], grid[training]


def to_the_end(
    params: Params,
    folds: list[Fold],
    seeds: list[int],
    hyperparameters: dict[str, Any],
    parallel: joblib.Parallel,
) -> list[float]:
    """The held-out loss of each fold after all rounds.

    Their mean is the value that a trial has without pruning.
    """
    model, epochs = (
        params.model.changed(hyperparameters),
        params.tune_model.rounds * params.tune_model.epochs_per_round,
    )
    states = [start(fold, model, seed) for fold, seed in zip(folds, seeds, strict=True)]
    jobs = zip(states, folds, seeds, strict=True)
    done = parallel(
        joblib.delayed(advance)(state, fold, model, epochs=epochs, of=epochs, seed=seed)
        for state, fold, seed in jobs
    )
    return [state.history[-1]["held_out_loss"] for state in done]


def without_pruning(
    params: Params, trials: list[FrozenTrial], numbers: list[int], done: Path
) -> Iterator[list[float]]:
    """The loss of each fold for the trials `numbers`, trained to the end.

    Each trial is written to `done` when it is finished.
    """
    known = (
        dict(json.loads(line) for line in done.read_text().splitlines()) if done.exists() else {}
    )
    folds, seeds = search_folds(params, *training_stays())
    with workers() as parallel, done.open("a") as file:
        for number in numbers:
            if number not in known:
                known[number] = to_the_end(
                    params, folds, seeds, decode(trials[number].params), parallel
                )
                print(json.dumps([number, known[number]]), file=file, flush=True)
            yield known[number]


def study(params: Params, trials: int) -> None:
    options = params.tune_model.model_copy(update={"trials": trials})
    params = params.model_copy(update={"tune_model": options})
    key = digest(
        options.model_dump_json(exclude={"trials"}),
        params.model.model_dump_json(),
        params.features.model_dump_json(),
    )[:16]
    found = search_network(params, *training_stays(), Path("study", key))
    best = best_trial(found, "minimize")
    hours = (
        sum(
            (t.datetime_complete - t.datetime_start).total_seconds()
            for t in found
            if t.datetime_complete and t.datetime_start
        )
        / 3600
    )
    epochs, every = (
        sum(t.user_attrs["epochs"] for t in found),
        trials * options.folds * options.rounds * options.epochs_per_round,
    )
    pruned = [number for number, t in enumerate(found) if t.state == TrialState.PRUNED]
    print(
        f"{trials} trials, {len(pruned)} pruned: {hours:.2f} hours with {joblib.cpu_count()} workers"
    )
    print(
        f"epochs of all folds: {epochs} of {every}, {1 - epochs / every:.0%} fewer (bar: at least {FEWER_EPOCHS:.0%})"
    )
    print(
        f"winner: trial {found.index(best)}, held-out loss {best.value:.5f}, AUROC {best.user_attrs['auroc']:.4f}: {decode(best.params)}"
    )
    begin = time.perf_counter()
    winner, *others = map(
        np.array,
        without_pruning(params, found, [found.index(best), *pruned], Path("study", f"{key}.jsonl")),
    )
    finite = (
        losses for losses in others if np.isfinite(losses).all()
    )  # a diverging trial has no loss
    behind = min(
        (losses - winner for losses in finite), key=np.mean, default=np.full(options.folds, np.nan)
    )
    error = behind.std(ddof=1) / np.sqrt(options.folds)
    print(
        f"pruned trials trained to the end in {(time.perf_counter() - begin) / 3600:.2f} hours: the best one's held-out loss is",
        end=" ",
    )
    print(
        f"{behind.mean():+.5f} (standard error over the folds {error:.5f}) compared with the winner's"
    )
    print(f"no pruned trial would have won: {'NO' if behind.mean() < 0 else 'yes'}")


def by_workers(params: Params, repeats: int) -> None:
    """Print the wall time of the first trial of a search."""
    (folds, seeds), times = (
        search_folds(params, *training_stays()),
        {n: [] for n in (1, joblib.cpu_count())},
    )
    for _ in range(repeats):
        for n, seconds in times.items():
            with joblib.Parallel(n_jobs=n, mmap_mode="c") as parallel:
                parallel(joblib.delayed(seed_of)(k) for k in range(n))  # starts the workers
                begin = time.perf_counter()
                to_the_end(params, folds, seeds, {}, parallel)
                seconds.append(time.perf_counter() - begin)
    for n, seconds in times.items():
        print(f"one trial, {n} workers: {statistics.median(seconds):.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "raw", type=Path, help="folder with set-a.tar.gz, set-b.tar.gz and their Outcomes"
    )
    parser.add_argument(
        "--work",
        type=Path,
        required=True,
        help="for the prepared records and the study",
    )
    parser.add_argument("--trials", type=int, default=60, help="number of trials of the search")
    parser.add_argument("--repeats", type=int, default=1, help="interleaved runs of --workers")
    parser.add_argument("--workers", action="store_true")
    arguments = parser.parse_args()
    with workplace(arguments.raw, arguments.work) as params:
        by_workers(params, arguments.repeats) if arguments.workers else study(
            params, arguments.trials
        )


if __name__ == "__main__":
    main()
