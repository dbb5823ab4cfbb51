"""The search of the network's hyperparameters by cross-validation within some stays.

The stage tune_model and the study nested call it.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from jaxtyping import Float
from joblib import delayed
from optuna.trial import FrozenTrial

from icu_adversarial.config.model import Model
from icu_adversarial.config.params import Params
from icu_adversarial.config.tune_model import TuneModel
from icu_adversarial.core.parallel import workers
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.fold_data import Fold, make_fold
from icu_adversarial.model.training import advance, seed_of, start
from icu_adversarial.search.figures import trials_table
from icu_adversarial.search.shared import count_workers
from icu_adversarial.search.study import Watch, run_study, unwatched

LOGGER = logging.getLogger(__name__)


def search_folds(
    params: Params, stays: pd.DataFrame, grid: Float[np.ndarray, "N T M"]
) -> tuple[list[Fold], list[int]]:
    """Divide stays into the folds of the search.

    Args:
        params: The blocks tune_model, features and model are used.
        stays: Rows of schemas.COHORT.
        grid: Their values in clinical units; NaN = not observed.

    Returns:
        The folds, and the seed with which every trial trains on each.

    Raises:
        InputError: An outcome has fewer subjects than there are folds.
    """
    options = params.tune_model
    fold = assign_folds(
        stays["subject_id"].to_numpy(),
        stays["died"].to_numpy(),
        folds=options.folds,
        seed=options.fold_seed,
    )
    folds = [
        make_fold(grid, params.columns, stays, fold == k, params.features, params.model)[0]
        for k in range(options.folds)
    ]
    return folds, [seed_of(options.seed, k) for k in range(options.folds)]


def search_network(
    params: Params,
    stays: pd.DataFrame,
    grid: Float[np.ndarray, "N T M"],
    state: Path,
    watch: Watch = unwatched,
) -> list[FrozenTrial]:
    """Run the search on these stays, or continue it.

    If the ranges contain the block `model` of params.yaml, it is the first trial. The best trial is
    then at least as good.

    Args:
        params, stays, grid: As for `search_folds`.
        state: The folder of the study.
        watch: As for `run_study`.

    Returns:
        The ended trials, in order.
    """
    options, model = params.tune_model, params.model
    folds, seeds = search_folds(params, stays, grid)
    with workers() as parallel:

        def evaluate(trial: optuna.Trial, drawn: dict[str, Any]) -> float:
            return _cross_validate(trial, model.changed(drawn), options, folds, seeds, parallel)

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


def _cross_validate(
    trial: optuna.Trial,
    model: Model,
    options: TuneModel,
    folds: list[Fold],
    seeds: list[int],
    parallel: Callable[..., Any],
) -> float:
    """The mean over the folds of the held-out loss of the weights that are kept.

    These are the last ones or, if the model keeps its best weights, those of the round with the
    lowest loss. A round is trained on all folds before the next round.
    """
    epochs, of = options.epochs_per_round, options.rounds * options.epochs_per_round
    states = [start(fold, model, seed) for fold, seed in zip(folds, seeds, strict=True)]
    losses: list[float] = []
    for step in range(options.rounds):
        states = parallel(
            delayed(advance)(state, data, model, epochs=epochs, of=of, seed=seed)
            for state, data, seed in zip(states, folds, seeds, strict=True)
        )
        trial.set_user_attr("epochs", options.folds * states[0].epoch)
        losses.append(float(np.mean([state.history[-1]["held_out_loss"] for state in states])))
        done = f"{step + 1}/{options.rounds}"
        LOGGER.debug("search: round %s, held-out loss %.4f", done, losses[-1])
        if not np.isfinite(losses[-1]):
            raise optuna.TrialPruned
        trial.report(losses[-1], step)
        if step < options.rounds - 1 and trial.should_prune():
            raise optuna.TrialPruned
    kept = int(np.argmin(losses)) if model.keep == "best" else options.rounds - 1
    for name in ("auroc", "auprc"):
        mean = float(np.mean([state.history[kept][name] for state in states]))
        trial.set_user_attr(name, mean)
    return losses[kept]


def summary(trials: list[FrozenTrial], best: dict[str, Any]) -> dict[str, Any]:
    """Summarise a search for metrics.json.

    Args:
        trials: What `search_network` returned; empty without a search.
        best: What `write_study` returned for them.

    Returns:
        trials, trials_pruned, workers (processes that ran them), epochs (of all trials and folds
        together), best_held_out_loss, best_auroc, best_auprc (None without a search) and best: the
        hyperparameters.
    """
    table = trials_table(trials)
    found: dict[str, Any] = {"epochs": 0, "best_held_out_loss": best["value"]}
    found |= {"best_auroc": None, "best_auprc": None}
    if trials:
        found["epochs"] = int(table["epochs"].sum())
        for name in ("auroc", "auprc"):
            found[f"best_{name}"] = float(table[name][best["trial"]])
    return {
        "trials": len(table),
        "trials_pruned": int((table["state"] == "pruned").sum()),
        "workers": count_workers(trials),
        **found,
        "best": best["hyperparameters"],
    }
