"""attack: every chosen stay on a model that never saw its subject, with the hyperparameters of tune_attack."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from icu_adversarial import paths
from icu_adversarial.attack import sanity
from icu_adversarial.attack.checkpoints import attack_cohort, in_order
from icu_adversarial.attack.ensemble import FILE
from icu_adversarial.attack.loop import DIRECTIONS, Task, Victim, choose_stays, decide, make_tasks
from icu_adversarial.attack.methods import METHODS, method_for
from icu_adversarial.attack.quality import score, summarise
from icu_adversarial.attack.transfer import transfer
from icu_adversarial.attack.victims import FILES, model_files, read_file, read_victims
from icu_adversarial.files import read_array, read_json, write_csv, write_json
from icu_adversarial.measurements import M
from icu_adversarial.params import Params
from icu_adversarial.search.study import study_key
from icu_adversarial.tables import (
    COHORT,
    EXAMPLES,
    PERTURBATIONS,
    PREDICTIONS,
    read_table,
    write_batches,
)


def run(params: Params, objective: str) -> None:
    """Read data/tune_attack/OBJECTIVE/best.json, predictions, grid and models; write data/attack/OBJECTIVE and metrics/attack/OBJECTIVE.

    `target` fold: each training stay by the model of its fold; ensemble: test stays by all folds' models together; file: test stays by the model in
    the folder `models`, those that this model gets right.
    """
    settings, method = params.attack, method_for(objective, params.attack.method)
    best = paths.TUNE_ATTACK / objective / "best.json"
    attack = partial(
        METHODS[method], **read_json(best)["hyperparameters"], iterations=settings.iterations
    )
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    victims = read_file(settings.models) if settings.target == "file" else read_victims()
    tasks = read_tasks(victims)
    if settings.target == "file":
        test = predictions[predictions["split"] == "test"].assign(fold=FILE, y=0)
        predictions = test.assign(
            predicted=np.concatenate([np.empty(0, bool), *map(decide, tasks(test))])
        )
    limits = settings.model_dump(include={"max_stays", "attack_misclassified", "seed"})
    chosen = choose_stays(
        predictions, **limits, split="oof" if settings.target == "fold" else "test"
    )

    choices = json.dumps([objective, settings.model_dump(mode="json"), params.bin_hours])
    models = (
        [settings.models / name for name in FILES] if settings.target == "file" else model_files()
    )
    state = paths.state(
        "attack", study_key(choices, best, paths.PREDICTIONS, paths.COHORT, paths.GRID, *models)
    )
    checkpoints = attack_cohort(chosen, tasks, attack, params.bin_hours, state)
    folder = paths.ATTACK / objective
    for name, schema in (("examples", EXAMPLES), ("perturbations", PERTURBATIONS)):
        write_batches(folder / f"{name}.parquet", in_order(checkpoints, name, schema), schema)

    metrics_folder = paths.METRICS / "attack" / objective
    shares = transfer(chosen, checkpoints, tasks, victims, params.bin_hours)
    write_csv(
        metrics_folder / "plots" / "transfer.csv",
        shares.assign(source=params.extract.label, objective=objective),
    )
    warnings = sanity.check(tasks(chosen.groupby("fold").head(sanity.STAYS)), attack, settings.seed)
    for warning in warnings:
        print(f"warning: {objective}: {warning}", file=sys.stderr)
    numbers = metrics(
        read_table(folder / "examples.parquet", EXAMPLES),
        objective,
        len(params.hours) * M,
        params.tune_attack.max_perts,
    )
    write_json(
        metrics_folder / "metrics.json",
        {"source": params.extract.label, "method": method, "warnings": warnings} | numbers,
    )
    shutil.rmtree(state, ignore_errors=True)


def read_tasks(victims: dict[int, Victim]) -> Callable[..., Iterator[Task]]:
    """`loop.make_tasks` with the cohort and its grid: what is left to say is which stays, and how many at once."""
    return partial(
        make_tasks,
        cohort=read_table(paths.COHORT, COHORT),
        grid=read_array(paths.GRID),
        victims=victims,
    )


def metrics(
    examples: pd.DataFrame, objective: str, cells: int, max_perts: int
) -> dict[str, object]:
    """Over the best examples, in all and by direction: `score` (as in tune_attack), attacked, success_rate, medians; the median iteration of the
    first examples beside that of the best."""

    def group(members: pd.DataFrame) -> dict[str, float | int | None]:
        first, best = (members[members["kind"] == kind] for kind in ("first", "best"))
        value = score(objective, best, cells=cells, max_perts=max_perts)
        return {
            "score": value,
            **summarise(best),
            "median_first_iteration": summarise(first)["median_iteration"],
        }

    return group(examples) | {
        d.replace("→", "_to_"): group(examples[examples["direction"] == d]) for d in DIRECTIONS
    }
