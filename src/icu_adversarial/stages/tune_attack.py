"""tune_attack: search the attack's hyperparameters on correctly classified training stays; test stays are never touched."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import joblib
import optuna

from icu_adversarial import paths
from icu_adversarial.attack.loop import Found, choose_stays, run_tasks, to_tables
from icu_adversarial.attack.proximal import proximal
from icu_adversarial.attack.quality import score, summarise
from icu_adversarial.files import write_csv, write_json
from icu_adversarial.measurements import M
from icu_adversarial.params import Params
from icu_adversarial.search.study import best_trial, history_table, run_study, study_key, write_study
from icu_adversarial.stages.attack import read_tasks
from icu_adversarial.tables import PREDICTIONS, read_table


def run(params: Params, objective: str) -> None:
    """Read predictions, grid and models; write best.json and trials.parquet to data/tune_attack/OBJECTIVE, and metrics/tune_attack/OBJECTIVE.

    A trial's value is the sum of the objective's score over the best examples of the attacked stays, 0 for a stay that was not flipped. The running
    sum is reported after each task, in an order that is the same for every trial, and decides whether the trial is pruned.
    """
    settings = params.tune_attack
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    chosen = choose_stays(predictions, max_stays=settings.max_stays, attack_misclassified=False, seed=settings.seed)
    tasks = list(read_tasks(chosen, size=2**settings.space.log2_batch_size.high))  # the same for every trial, whatever its batch size
    processes = joblib.effective_n_jobs(-1)

    def results(hyperparameters: dict[str, Any]) -> Iterator[Found]:
        attack = partial(proximal, **{k: v for k, v in hyperparameters.items() if k != "batch_size"}, iterations=settings.iterations)
        for start in range(0, len(tasks), processes):  # as many as run at once: a trial pruned after them has cost no more, and nothing is cut off
            yield from list(run_tasks(tasks[start : start + processes], attack, hyperparameters["batch_size"]))

    def evaluate(trial: optuna.Trial, hyperparameters: dict[str, Any]) -> float:
        found: list[Found] = []
        total = 0.0
        for result in results(hyperparameters):
            flipped = result.examples.query("kind == 'best' and success")
            norms = (flipped[name].to_numpy(float) for name in ("l0", "l1", "linf"))
            total += float(score(objective, *norms, cells=params.window_hours * M, max_perts=settings.max_perts).sum())
            trial.report(total, step=len(found))
            found.append(result)
            if len(found) < len(tasks) and trial.should_prune():
                raise optuna.TrialPruned
        examples = to_tables(found)[0].to_pandas()
        for name, value in summarise(examples[examples["kind"] == "best"]).items():
            trial.set_user_attr(name, value)
        return total

    models = sorted(file for fold in sorted(set(chosen["fold"])) for file in (paths.MODELS / f"fold_{fold}").iterdir())
    choices = settings.model_dump(exclude={"trials"}) | {"objective": objective}  # of a study that grows, the first trials stay
    trials = run_study(
        evaluate,
        settings.space,
        trials=settings.trials,
        seed=settings.seed,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=settings.pruner_startup_trials),
        state=paths.state("tune_attack", study_key(json.dumps(choices), paths.PREDICTIONS, paths.COHORT, paths.GRID, *models)),
    )
    best = write_study(paths.TUNE_ATTACK / objective, trials, "maximize")
    metrics, label = paths.METRICS / "tune_attack" / objective, params.extract.label
    write_csv(metrics / "plots" / "history.csv", history_table(trials, "maximize").assign(source=label, objective=objective))
    pruned = sum(t.state == optuna.trial.TrialState.PRUNED for t in trials)
    summary = {"best_value": best["value"], **best_trial(trials, "maximize").user_attrs, "best": best["hyperparameters"]}
    write_json(metrics / "metrics.json", {"source": label, "trials": len(trials), "trials_pruned": pruned, **summary})
