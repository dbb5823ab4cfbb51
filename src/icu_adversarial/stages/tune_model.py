"""Search the network's hyperparameters by cross-validation within the training subjects; the test set is not touched."""

from typing import Any

import numpy as np
import optuna
from joblib import delayed

from icu_adversarial import paths
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.files import read_array, write_csv, write_json
from icu_adversarial.model.training import advance, make_fold, seed_of, start
from icu_adversarial.params import Params
from icu_adversarial.processes import workers
from icu_adversarial.search.study import run_study, study_key, write_study
from icu_adversarial.search.tables import figure_tables, trials_table
from icu_adversarial.tables import COHORT, read_table


def run(params: Params) -> None:
    options = params.tune_model
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    training = ~cohort["is_test"].to_numpy()
    died, subject = cohort["died"].to_numpy()[training], cohort["subject_id"].to_numpy()[training]
    fold = assign_folds(subject, died, folds=options.folds, seed=options.fold_seed)
    folds = [make_fold(grid[training], died, fold == k, params.features)[0] for k in range(options.folds)]
    channels = folds[0].x_train.shape[2]

    with workers() as parallel:

        def evaluate(trial: optuna.Trial, hyperparameters: dict[str, Any]) -> float:
            """The lowest fold mean of the held-out loss; every round is trained on all folds before the next."""
            states = [start(channels, hyperparameters, seed_of(options.seed, k)) for k in range(options.folds)]
            losses = []
            for step in range(options.rounds):
                states = parallel(
                    delayed(advance)(state, data, hyperparameters, epochs=options.epochs_per_round, seed=seed_of(options.seed, k))
                    for k, (state, data) in enumerate(zip(states, folds, strict=True))
                )
                losses.append(float(np.mean([state.history[-1]["held_out_loss"] for state in states])))
                if not np.isfinite(losses[-1]):
                    raise optuna.TrialPruned
                trial.report(losses[-1], step)
                if trial.should_prune():
                    raise optuna.TrialPruned
            last = [state.history[int(np.argmin(losses))] for state in states]
            trial.set_user_attr("auroc", float(np.mean([h["auroc"] for h in last])))
            trial.set_user_attr("auprc", float(np.mean([h["auprc"] for h in last])))
            return min(losses)

        trials = run_study(
            evaluate,
            options.space,
            trials=options.trials,
            seed=options.seed,
            direction="minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=options.pruner_startup_trials, n_warmup_steps=options.pruner_warmup_rounds),
            state=paths.state(
                "tune_model",
                study_key(options.model_dump_json(exclude={"trials"}), params.features.model_dump_json(), paths.GRID, paths.COHORT),
            ),
        )
    best = write_study(paths.TUNE_MODEL, trials, "minimize")

    label = params.extract.label
    metrics = paths.METRICS / "tune_model"
    for name, figure in figure_tables(trials, "minimize").items():
        write_csv(metrics / "plots" / f"{name}.csv", figure.assign(source=label))
    table = trials_table(trials)
    write_json(
        metrics / "metrics.json",
        {
            "source": label,
            "trials": len(table),
            "trials_pruned": int((table["state"] == "pruned").sum()),
            "best_held_out_loss": best["value"],
            "best_auroc": float(table["auroc"][best["trial"]]),
            "best_auprc": float(table["auprc"][best["trial"]]),
            "best": best["hyperparameters"],
        },
    )
