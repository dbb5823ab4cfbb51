"""attack: every chosen stay by the model that never saw its subject, with the hyperparameters of tune_attack."""

from collections.abc import Iterator
from functools import partial

import pandas as pd
from tqdm import tqdm

from icu_adversarial import paths
from icu_adversarial.attack.loop import DIRECTIONS, Found, Task, Victim, choose_stays, make_tasks, run_tasks, to_tables
from icu_adversarial.attack.proximal import proximal
from icu_adversarial.attack.quality import score, summarise
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.files import read_array, read_json, write_json
from icu_adversarial.measurements import M
from icu_adversarial.model.networks import load_model
from icu_adversarial.params import Params
from icu_adversarial.tables import COHORT, EXAMPLES, PERTURBATIONS, PREDICTIONS, read_table, write_table


def run(params: Params, objective: str) -> None:
    """Read data/tune_attack/OBJECTIVE/best.json, predictions, grid and models; write data/attack/OBJECTIVE and metrics/attack/OBJECTIVE."""
    settings = params.attack
    hyperparameters = read_json(paths.TUNE_ATTACK / objective / "best.json")["hyperparameters"]
    batch_size = hyperparameters.pop("batch_size")
    predictions = read_table(paths.PREDICTIONS, PREDICTIONS)
    chosen = choose_stays(predictions, max_stays=settings.max_stays, attack_misclassified=settings.attack_misclassified, seed=settings.seed)
    method = partial(proximal, **hyperparameters, iterations=settings.iterations)
    results = run_tasks(read_tasks(chosen, batch_size), method, batch_size)
    examples, perturbations = to_tables(_progress(results, len(chosen), f"attack {objective}"))
    write_table(paths.ATTACK / objective / "examples.parquet", examples, EXAMPLES)
    write_table(paths.ATTACK / objective / "perturbations.parquet", perturbations, PERTURBATIONS)
    numbers = metrics(examples.to_pandas(), objective, params.window_hours * M, params.tune_attack.max_perts)
    write_json(paths.METRICS / "attack" / objective / "metrics.json", {"source": params.extract.label} | numbers)


def read_tasks(chosen: pd.DataFrame, size: int) -> Iterator[Task]:
    """The chosen stays with the models and scalers of their folds, in tasks of at most `size` stays of one fold."""
    folders = {fold: paths.MODELS / f"fold_{fold}" for fold in sorted(set(chosen["fold"]))}
    victims = {fold: Victim(load_model(folder), Scaler.load(folder / "scaler.json")) for fold, folder in folders.items()}
    return make_tasks(chosen, read_table(paths.COHORT, COHORT)["stay_id"].to_numpy(), read_array(paths.GRID), victims, size)


def metrics(examples: pd.DataFrame, objective: str, cells: int, max_perts: int) -> dict[str, object]:
    """Over the best examples, in all and by direction: `score` (the objective's sum, as in tune_attack), attacked, success_rate, medians; the
    median iteration of the first examples beside that of the best."""

    def group(members: pd.DataFrame) -> dict[str, float | int | None]:
        first, best = (members[members["kind"] == kind] for kind in ("first", "best"))
        norms = (best.loc[best["success"], name].to_numpy(float) for name in ("l0", "l1", "linf"))
        total = float(score(objective, *norms, cells=cells, max_perts=max_perts).sum())
        return {"score": total, **summarise(best), "median_first_iteration": summarise(first)["median_iteration"]}

    return group(examples) | {d.replace("→", "_to_"): group(examples[examples["direction"] == d]) for d in DIRECTIONS}


def _progress(results: Iterator[Found], stays: int, label: str) -> Iterator[Found]:
    with tqdm(total=stays, desc=label, unit="stay") as bar:
        for found in results:
            bar.update(found.examples["stay_id"].nunique())
            yield found
