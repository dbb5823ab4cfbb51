"""probe: how good the examples of `attack` are, whether they transfer, what speaks against them.

Reads the two tables of data/attack/OBJECTIVE, the cohort, the grid and the models. Writes
metrics/probe/OBJECTIVE. Costs a few passes for each stay: nothing is attacked again.
"""

import sys
from functools import partial

from icu_adversarial.attack.algorithms.registry import method_for
from icu_adversarial.attack.inputs import read_attacked_models, read_tasks
from icu_adversarial.attack.objectives import metrics
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import write_csv, write_json
from icu_adversarial.core.schemas import EXAMPLES, read_table
from icu_adversarial.probe import sanity
from icu_adversarial.probe.stored import attacked_stays, dense, read_best_cells
from icu_adversarial.probe.transfer import transfer


def run(params: Params, objective: str) -> None:
    """Measure the attack of one objective; write metrics.json and plots/transfer.csv."""
    data = {"source": params.label, "outcome": params.outcome.phrase}
    settings, hours = params.attack, params.bin_hours
    source, folder = paths.ATTACK / objective, paths.METRICS / "probe" / objective
    examples = read_table(source / "examples.parquet", EXAMPLES)
    changed = read_best_cells(source / "perturbations.parquet")
    victims = read_attacked_models(settings, params.columns)
    tasks = read_tasks(victims)
    shares = transfer(examples, changed, tasks, victims, hours)
    write_csv(folder / "plots" / "transfer.csv", shares.assign(**data, objective=objective))
    tried = tasks(attacked_stays(examples).groupby("fold").head(sanity.STAYS))
    found = partial(dense, cells=changed, column="delta", bin_hours=hours)
    warnings = sanity.check(tried, found, settings.seed)
    print(*(f"warning: {objective}: {w}\n" for w in warnings), sep="", end="", file=sys.stderr)
    max_perts = params.tune_attack.max_perts
    numbers = metrics(examples, objective, cells=params.cells, max_perts=max_perts)
    about = {**data, "method": method_for(objective, settings.method), "warnings": warnings}
    write_json(folder / "metrics.json", about | numbers)
