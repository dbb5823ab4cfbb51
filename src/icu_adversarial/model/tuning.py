"""Search of the network's hyperparameters by cross-validation within the stays that it is given."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from joblib import delayed
from optuna.trial import FrozenTrial

from icu_adversarial.config.params import Params
from icu_adversarial.core.parallel import workers
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.training import Fold, advance, make_fold, seed_of, start
from icu_adversarial.search.study import run_study

LOGGER = logging.getLogger(__name__)


def search_folds(
    params: Params, stays: pd.DataFrame, grid: np.ndarray
) -> tuple[list[Fold], list[int]]:
    """The folds of the search, and the seed with which every trial trains on each. stays: rows of tables.COHORT; grid: (N, T, 19), theirs."""
    options = params.tune_model
    fold = assign_folds(
        stays["subject_id"].to_numpy(),
        stays["died"].to_numpy(),
        folds=options.folds,
        seed=options.fold_seed,
    )
    folds = [
        make_fold(grid, stays, fold == k, params.features, params.model)[0]
        for k in range(options.folds)
    ]
    return folds, [seed_of(options.seed, k) for k in range(options.folds)]


def search_network(
    params: Params,
    stays: pd.DataFrame,
    grid: np.ndarray,
    state: Path,
    watch: Callable[[list[FrozenTrial]], None] = lambda trials: None,
) -> list[FrozenTrial]:
    """Run `tune_model` on these stays alone; the study stands in the folder `state`. stays: rows of tables.COHORT; grid: (N, T, 19), theirs.

    The first trial is `model` of params.yaml itself where the ranges allow it, so that no search ends behind it. Returns the trials.
    watch: As of `run_study`.
    """
    options, model = params.tune_model, params.model
    folds, seeds = search_folds(params, stays, grid)
    epochs, of = options.epochs_per_round, options.rounds * options.epochs_per_round

    with workers() as parallel:

        def evaluate(trial: optuna.Trial, drawn: dict[str, Any]) -> float:
            """The fold mean of the held-out loss after the last round or, where the model keeps its best weights, the round of the lowest one.

            A round is trained on all folds before the next.
            """
            tried = model.changed(drawn)
            states = [start(fold, tried, seed) for fold, seed in zip(folds, seeds, strict=True)]
            losses: list[float] = []
            for step in range(options.rounds):
                states = parallel(
                    delayed(advance)(state, data, tried, epochs=epochs, of=of, seed=seed)
                    for state, data, seed in zip(states, folds, seeds, strict=True)
                )
                trial.set_user_attr("epochs", options.folds * states[0].epoch)
                losses.append(
                    float(np.mean([state.history[-1]["held_out_loss"] for state in states]))
                )
                done = f"{step + 1}/{options.rounds}"
                LOGGER.debug("search: round %s, held-out loss %.4f", done, losses[-1])
                if not np.isfinite(losses[-1]):
                    raise optuna.TrialPruned
                trial.report(losses[-1], step)
                if step < options.rounds - 1 and trial.should_prune():
                    raise optuna.TrialPruned
            kept = int(np.argmin(losses)) if tried.keep == "best" else options.rounds - 1
            for name in ("auroc", "auprc"):
                trial.set_user_attr(
                    name, float(np.mean([state.history[kept][name] for state in states]))
                )
            return losses[kept]

        return run_study(
            evaluate,
            options.space,
            trials=options.trials,
            seed=options.seed,
            direction="minimize",
            pruner=optuna.pruners.PercentilePruner(
                options.pruner_percentile,
                n_startup_trials=options.pruner_startup_trials,
                n_warmup_steps=options.pruner_warmup_rounds,
            ),
            state=state,
            first=model.model_dump(),
            watch=watch,
        )
