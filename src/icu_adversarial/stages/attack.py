"""attack: every chosen stay on a model that never saw its subject.

Reads best.json of tune_attack, the predictions, the cohort, the grid, the events and the models.
Writes the tables of data/attack/OBJECTIVE. Costs hours on a large cohort.
"""

import json

from icu_adversarial.attack.algorithms.registry import method_for
from icu_adversarial.attack.checkpoints import attack_cohort, in_order
from icu_adversarial.attack.edits import write_edits
from icu_adversarial.attack.inputs import (
    attacked_files,
    read_attack,
    read_attacked_models,
    read_chosen,
    read_tasks,
)
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import EXAMPLES, PERTURBATIONS, write_batches

ROOMS = ("core", "measurements", "features", "model/networks", "attack")


def run(params: Params, objective: str) -> None:
    """Attack the stays that `attack.target` names, or continue; write the tables."""
    settings, hours, names = params.attack, params.bin_hours, params.columns
    attack = read_attack(objective, method_for(objective, settings.method), settings.iterations)
    tasks = read_tasks(read_attacked_models(settings, names))
    chosen = read_chosen(settings, tasks)
    choices = json.dumps([objective, settings.model_dump(mode="json"), hours])
    best, folder = paths.TUNE_ATTACK / objective / "best.json", paths.ATTACK / objective
    files = (best, paths.PREDICTIONS, paths.COHORT, paths.GRID, *attacked_files(settings))
    with resumable("attack", choices, *files, rooms=ROOMS) as state:
        checkpoints = attack_cohort(chosen, tasks, attack, hours, state)
        for name, schema in (("examples", EXAMPLES), ("perturbations", PERTURBATIONS)):
            write_batches(folder / f"{name}.parquet", in_order(checkpoints, name, schema), schema)
    write_edits(folder, settings.space, params.hours, names)
