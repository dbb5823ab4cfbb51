"""attack: every chosen stay on a model that never saw its subject.

Reads best.json of tune_attack, the predictions, the cohort, the grid and the models. Writes the
two tables of data/attack/OBJECTIVE. Costs hours on a large cohort; `probe` measures the result.
"""

import json

import numpy as np

from icu_adversarial.attack.algorithms.registry import method_for
from icu_adversarial.attack.checkpoints import attack_cohort, in_order
from icu_adversarial.attack.inputs import read_attack, read_attacked_models, read_tasks
from icu_adversarial.attack.tasks import choose_stays
from icu_adversarial.attack.verify import decide
from icu_adversarial.attack.victims import FILES, model_files
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import (
    EXAMPLES,
    FILE,
    PERTURBATIONS,
    PREDICTIONS,
    read_table,
    write_batches,
)

ROOMS = ("core", "measurements", "features", "model/networks", "attack")


def run(params: Params, objective: str) -> None:
    """Attack the stays that `attack.target` names; write data/attack/OBJECTIVE.

    `fold`: each training stay by the model of its fold. `ensemble`: test stays by all folds'
    models together. `file`: test stays by the model in the folder `models`, those that this model
    gets right.
    """
    settings = params.attack
    method = method_for(objective, settings.method)
    attack = read_attack(objective, method, settings.iterations)
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    tasks = read_tasks(read_attacked_models(settings.target, settings.models))
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
    best = paths.TUNE_ATTACK / objective / "best.json"
    files = (best, paths.PREDICTIONS, paths.COHORT, paths.GRID, *models)
    with resumable("attack", choices, *files, rooms=ROOMS) as state:
        checkpoints = attack_cohort(chosen, tasks, attack, params.bin_hours, state)
        for name, schema in (("examples", EXAMPLES), ("perturbations", PERTURBATIONS)):
            file = paths.ATTACK / objective / f"{name}.parquet"
            write_batches(file, in_order(checkpoints, name, schema), schema)
