"""tune_attack: search the hyperparameters of the attack of one objective.

Reads the predictions, the cohort, the grid and the models; attacks correctly classified training
stays and no test stay. Writes best.json and trials.parquet to data/tune_attack/OBJECTIVE, and
metrics/tune_attack/OBJECTIVE. Attacks `tune_attack.max_stays` stays in each trial.
"""

from icu_adversarial.attack.algorithms.registry import method_for
from icu_adversarial.attack.inputs import read_tasks
from icu_adversarial.attack.search import search_attack, shown_attribute, study_settings, summary
from icu_adversarial.attack.tasks import choose_stays
from icu_adversarial.attack.victims import model_files, read_victims
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.resume import resumable
from icu_adversarial.core.schemas import PREDICTIONS, read_table
from icu_adversarial.search.live import LiveStudy
from icu_adversarial.search.study import SEARCH, write_study

ROOMS = ("core", "measurements", "features", "model/networks", "attack", *SEARCH)


def run(params: Params, objective: str) -> None:
    """Run or continue the search; write the best settings, the trials and their figures."""
    settings, method = params.tune_attack, method_for(objective, params.attack.method)
    limits = settings.model_dump(include={"max_stays", "seed"}) | {"attack_misclassified": False}
    chosen = choose_stays(read_table(paths.PREDICTIONS, PREDICTIONS), **limits)
    tasks = list(read_tasks(read_victims(params.columns))(chosen))
    key = study_settings(settings, objective, method)
    files = (paths.PREDICTIONS, paths.COHORT, paths.GRID, *model_files())
    folder, labels = paths.METRICS / "tune_attack" / objective, {"source": params.label}
    shown = shown_attribute(objective)
    with resumable("tune_attack", key, *files, rooms=ROOMS, keep=True) as state:
        live = LiveStudy(folder, "maximize", shown, **labels, objective=objective)
        about = (settings, objective, method, params.cells)
        trials = search_attack(tasks, *about, state, live.update)
        best = write_study(paths.TUNE_ATTACK / objective, trials, "maximize")
    live.finish(trials, labels | {"method": method} | summary(trials, best))
