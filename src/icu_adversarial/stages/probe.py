"""probe: how good the examples of `attack` are, whether they transfer, what speaks against them.

Reads the two tables of data/attack/OBJECTIVE, the cohort, the grid, the models and best.json of
tune_attack. Writes metrics/probe/OBJECTIVE. Costs a small share of the attack's time.
"""

import sys

from icu_adversarial import paths
from icu_adversarial.attack import sanity
from icu_adversarial.attack.methods import method_for
from icu_adversarial.attack.quality import metrics
from icu_adversarial.attack.tasks import (
    attacked_stays,
    read_attack,
    read_attacked_models,
    read_tasks,
)
from icu_adversarial.attack.transfer import transfer
from icu_adversarial.files import write_csv, write_json
from icu_adversarial.measurements import M
from icu_adversarial.params import Params
from icu_adversarial.tables import EXAMPLES, read_table


def run(params: Params, objective: str) -> None:
    """Measure the attack of one objective; write metrics.json and plots/transfer.csv."""
    settings, label = params.attack, params.extract.label
    source, folder = paths.ATTACK / objective, paths.METRICS / "probe" / objective
    method = method_for(objective, settings.method)
    attack = read_attack(objective, method, settings.iterations)
    victims = read_attacked_models(settings.target, settings.models)
    tasks, examples = read_tasks(victims), read_table(source / "examples.parquet", EXAMPLES)

    shares = transfer(examples, source / "perturbations.parquet", tasks, victims, params.bin_hours)
    write_csv(folder / "plots" / "transfer.csv", shares.assign(source=label, objective=objective))
    tried = attacked_stays(examples).groupby("fold").head(sanity.STAYS)
    warnings = sanity.check(tasks(tried), attack, settings.seed)
    for warning in warnings:
        print(f"warning: {objective}: {warning}", file=sys.stderr)
    cells, max_perts = len(params.hours) * M, params.tune_attack.max_perts
    numbers = metrics(examples, objective, cells=cells, max_perts=max_perts)
    about = {"source": label, "method": method, "warnings": warnings}
    write_json(folder / "metrics.json", about | numbers)
