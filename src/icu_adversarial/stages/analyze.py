"""analyze: susceptibility maps of one objective, as tables, figures and a page.

Reads the examples of `attack` and the cap of `tune_attack`, the cohort and its grid, the scalers
of the models, and the scores of `evaluate`. Writes data/analyze/OBJECTIVE and
metrics/analyze/OBJECTIVE. Runs no model.
"""

import sys

from icu_adversarial.analyze.inputs import read_inputs
from icu_adversarial.analyze.report import warning_of
from icu_adversarial.analyze.results import (
    Settings,
    make_maps,
    write_metrics,
    write_report,
    write_tables,
)
from icu_adversarial.config.params import Params


def run(params: Params, objective: str) -> None:
    """Turn the examples of an attack into tables, figures and a page.

    Args:
        params: The settings.
        objective: What the attack maximised.

    Raises:
        InputError: An input is missing or unreadable. Nothing is written then.
    """
    names = params.columns
    found = read_inputs(objective, params.attack.models, params.attack.target, names)
    data = params.extract.source, params.label, params.outcome.phrase
    settings = Settings(objective, *data, params.hours, names, params.analyze)
    maps = make_maps(settings, found)
    write_tables(settings, found, maps)
    write_report(settings, found, maps, write_metrics(settings, found, maps))
    if warning := warning_of(found.cohort):
        print(f"warning: {warning}", file=sys.stderr)
