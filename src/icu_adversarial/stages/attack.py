"""attack: every chosen stay by a model that never saw its subject, with the hyperparameters of tune_attack."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from icu_adversarial import paths
from icu_adversarial.attack import sanity
from icu_adversarial.attack.ensemble import ENSEMBLE, Ensemble, EnsembleScaling
from icu_adversarial.attack.loop import DIRECTIONS, TASK, Task, Victim, attack_cohort, choose_stays, make_tasks
from icu_adversarial.attack.methods import METHODS, method_for
from icu_adversarial.attack.quality import score, summarise
from icu_adversarial.attack.transfer import transfer
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.files import read_array, read_json, write_csv, write_json
from icu_adversarial.measurements import M
from icu_adversarial.model.networks import load_model
from icu_adversarial.params import Params
from icu_adversarial.search.study import study_key
from icu_adversarial.tables import COHORT, EXAMPLES, PERTURBATIONS, PREDICTIONS, read_batches, read_table, write_batches


def run(params: Params, objective: str) -> None:
    """Read data/tune_attack/OBJECTIVE/best.json, predictions, grid and models; write data/attack/OBJECTIVE and metrics/attack/OBJECTIVE."""
    settings, method = params.attack, method_for(objective, params.attack.method)
    best = paths.TUNE_ATTACK / objective / "best.json"
    attack = partial(METHODS[method], **read_json(best)["hyperparameters"], iterations=settings.iterations)
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    limits = settings.model_dump(include={"max_stays", "attack_misclassified", "seed"})
    chosen = choose_stays(predictions, **limits, split="test" if settings.target == "ensemble" else "oof")

    choices = json.dumps([objective, settings.model_dump(), params.bin_hours])
    state = paths.state("attack", study_key(choices, best, paths.PREDICTIONS, paths.COHORT, paths.GRID, *model_files()))
    blocks = attack_cohort(chosen, read_tasks, attack, params.bin_hours, state)
    folder = paths.ATTACK / objective
    for name, schema, column in (("examples", EXAMPLES, 0), ("perturbations", PERTURBATIONS, 1)):
        write_batches(folder / f"{name}.parquet", (batch for files in blocks for batch in read_batches(files[column], schema)), schema)

    metrics_folder = paths.METRICS / "attack" / objective
    shares = transfer(chosen, blocks, read_tasks, read_victims([ENSEMBLE]) | read_victims(member_folds()), params.bin_hours)
    write_csv(metrics_folder / "plots" / "transfer.csv", shares.assign(source=params.extract.label, objective=objective))
    warnings = sanity.check(read_tasks(chosen.groupby("fold").head(sanity.STAYS)), attack, settings.seed)
    for warning in warnings:
        print(f"warning: {objective}: {warning}", file=sys.stderr)
    numbers = metrics(read_table(folder / "examples.parquet", EXAMPLES), objective, len(params.hours) * M, params.tune_attack.max_perts)
    write_json(metrics_folder / "metrics.json", {"source": params.extract.label, "method": method, "warnings": warnings} | numbers)
    shutil.rmtree(state, ignore_errors=True)


def read_tasks(chosen: pd.DataFrame, size: int = TASK) -> Iterator[Task]:
    """The chosen stays with the models and scalers of their folds, in tasks of at most `size` stays of one fold."""
    victims = read_victims(sorted(set(chosen["fold"])))
    return make_tasks(chosen, read_table(paths.COHORT, COHORT)["stay_id"].to_numpy(), read_array(paths.GRID), victims, size)


def read_victims(folds: Iterable[int]) -> dict[int, Victim]:
    """Models and scalers of some folds, on the GPU if there is one; ENSEMBLE is all of them together."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    victims = {}
    for fold in folds:
        folders = [paths.MODELS / f"fold_{k}" for k in (member_folds() if fold == ENSEMBLE else [fold])]
        models, scalers = [load_model(f) for f in folders], [Scaler.load(f / "scaler.json") for f in folders]
        scaling = EnsembleScaling(scalers)
        victims[fold] = Victim(Ensemble(models, scaling).eval().to(device), scaling) if fold == ENSEMBLE else Victim(models[0].to(device), scalers[0])
    return victims


def member_folds() -> list[int]:
    """The folds that have a model."""
    return sorted(int(folder.name.removeprefix("fold_")) for folder in paths.MODELS.glob("fold_*"))


def model_files() -> list[Path]:
    """All files of all models."""
    return sorted(file for folder in paths.MODELS.glob("fold_*") for file in folder.iterdir())


def metrics(examples: pd.DataFrame, objective: str, cells: int, max_perts: int) -> dict[str, object]:
    """Over the best examples, in all and by direction: `score` (as in tune_attack), attacked, success_rate, medians; the median iteration of the
    first examples beside that of the best."""

    def group(members: pd.DataFrame) -> dict[str, float | int | None]:
        first, best = (members[members["kind"] == kind] for kind in ("first", "best"))
        value = score(objective, best, cells=cells, max_perts=max_perts)
        return {"score": value, **summarise(best), "median_first_iteration": summarise(first)["median_iteration"]}

    return group(examples) | {d.replace("→", "_to_"): group(examples[examples["direction"] == d]) for d in DIRECTIONS}
