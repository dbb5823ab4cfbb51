"""tune_attack: search the hyperparameters of the attack of one objective.

Reads the predictions, the cohort, the grid and the models; attacks no test stay. Writes
data/tune_attack/OBJECTIVE (best.json, trials.parquet) and metrics/tune_attack/OBJECTIVE.
"""

from icu_adversarial.attack.algorithms.registry import method_for
from icu_adversarial.attack.inputs import read_tasks
from icu_adversarial.attack.search import search_attack, shown_attribute, study_settings, summary
from icu_adversarial.attack.tasks import choose_stays
from icu_adversarial.attack.victims import model_files, read_victims
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.schemas import PREDICTIONS, read_table
from icu_adversarial.search.live import LiveStudy
from icu_adversarial.search.study import Trials, Watch, reserved, unwatched, write_study

ROOMS = ("core", "measurements", "features", "model/networks", "attack")


def run(params: Params, objective: str) -> None:
    """Run or continue the search; write the best settings, the trials and their figures."""
    method, folder = method_for(objective, params.attack.method), paths.METRICS / "tune_attack"
    about, own = {"source": params.label}, folder / objective
    live = LiveStudy(own, "maximize", shown_attribute(objective), **about, objective=objective)
    trials = search(params, objective, live.update)
    best = write_study(paths.TUNE_ATTACK / objective, trials, "maximize")
    live.finish(trials, about | {"method": method} | summary(trials, best))


def search(params: Params, objective: str, watch: Watch = unwatched) -> Trials:
    """Run or continue the search. The command `work` calls it, too."""
    settings, method = params.tune_attack, method_for(objective, params.attack.method)
    limits = settings.model_dump(include={"max_stays", "seed"}) | {"attack_misclassified": False}
    chosen = choose_stays(read_table(paths.PREDICTIONS, PREDICTIONS), **limits)
    tasks = list(read_tasks(read_victims(params.columns, params.attack.space))(chosen))
    files = (paths.PREDICTIONS, paths.COHORT, paths.GRID, *model_files())
    key = study_settings(settings, objective, method, params.attack.space)
    with reserved("tune_attack", key, *files, rooms=ROOMS) as state:
        return search_attack(tasks, settings, objective, method, params.cells, state, watch)
