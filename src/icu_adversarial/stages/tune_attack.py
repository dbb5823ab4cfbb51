"""tune_attack: search the attack's hyperparameters on correctly classified training stays; test stays are never touched."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import joblib
import optuna
import pandas as pd
import torch

from icu_adversarial.attack.algorithms.registry import METHODS, method_for
from icu_adversarial.attack.examples import Found, to_tables
from icu_adversarial.attack.inputs import read_tasks
from icu_adversarial.attack.objectives import score, summarise
from icu_adversarial.attack.tasks import choose_stays
from icu_adversarial.attack.verify import run_tasks
from icu_adversarial.attack.victims import model_files, read_victims
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import write_csv, write_json
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import PREDICTIONS, read_table
from icu_adversarial.measurements import M
from icu_adversarial.search.figures import figure_tables
from icu_adversarial.search.study import best_trial, run_study, write_study

ROOMS = ("core", "measurements", "features", "model/networks", "search", "attack")


def run(params: Params, objective: str) -> None:
    """Read predictions, grid and models; write best.json and trials.parquet to data/tune_attack/OBJECTIVE, and metrics/tune_attack/OBJECTIVE.

    A trial's value is the objective's score of the best examples of the attacked stays. What it has reached with the stays so far is reported after
    each fold, in an order that is the same for every trial, and decides whether the trial is pruned.
    """
    settings, method = params.tune_attack, method_for(objective, params.attack.method)
    space = getattr(settings.space, method)
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    chosen = choose_stays(
        predictions, max_stays=settings.max_stays, attack_misclassified=False, seed=settings.seed
    )
    tasks = list(read_tasks(read_victims())(chosen))
    processes = 1 if torch.cuda.is_available() else joblib.effective_n_jobs(-1)

    def results(hyperparameters: dict[str, Any]) -> Iterator[Found]:
        attack = partial(METHODS[method], **hyperparameters, iterations=settings.iterations)
        for start in range(
            0, len(tasks), processes
        ):  # as many as run at once: a trial pruned after them has cost no more, and nothing is cut off
            yield from list(run_tasks(tasks[start : start + processes], attack))

    def evaluate(trial: optuna.Trial, hyperparameters: dict[str, Any]) -> float:
        examples, value = best_examples([]), 0.0
        found: list[Found] = []
        for result in results(hyperparameters):
            found.append(result)
            examples = best_examples(found)
            value = score(
                objective,
                examples,
                stays=len(chosen),
                cells=len(params.hours) * M,
                max_perts=settings.max_perts,
            )
            trial.report(value, step=len(found) - 1)
            if len(found) < len(tasks) and trial.should_prune():
                describe(trial, examples)
                raise optuna.TrialPruned
        describe(trial, examples)
        return value

    def describe(trial: optuna.Trial, examples: pd.DataFrame) -> None:
        """Keep the success rate and the medians of the stays attacked so far; a reader of the
        trials understands them better than the score."""
        for name, number in summarise(examples).items():
            trial.set_user_attr(name, number)

    def best_examples(found: list[Found]) -> pd.DataFrame:
        return to_tables(found, params.bin_hours)[0].to_pandas().query("kind == 'best'")

    choices = settings.model_dump(exclude={"trials", "space"}) | {
        "objective": objective,
        method: space.model_dump(),
    }  # of a study that grows, trials stay
    files = (paths.PREDICTIONS, paths.COHORT, paths.GRID, *model_files())
    with resumable("tune_attack", json.dumps(choices), *files, rooms=ROOMS, keep=True) as state:
        trials = run_study(
            evaluate,
            space,
            trials=settings.trials if type(space).model_fields else 1,
            seed=settings.seed,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=settings.pruner_startup_trials),
            state=state,
        )
        best = write_study(paths.TUNE_ATTACK / objective, trials, "maximize")
    metrics, label = paths.METRICS / "tune_attack" / objective, params.extract.label
    shown = (
        f"median_{objective.removeprefix('robust_')}" if objective.startswith("robust_") else None
    )
    for name, table in figure_tables(trials, "maximize", shown).items():
        write_csv(
            metrics / "plots" / f"{name}.csv", table.assign(source=label, objective=objective)
        )
    pruned = sum(t.state == optuna.trial.TrialState.PRUNED for t in trials)
    summary = {
        "best_value": best["value"],
        **best_trial(trials, "maximize").user_attrs,
        "best": best["hyperparameters"],
    }
    write_json(
        metrics / "metrics.json",
        {
            "source": label,
            "method": method,
            "trials": len(trials),
            "trials_pruned": pruned,
            **summary,
        },
    )
