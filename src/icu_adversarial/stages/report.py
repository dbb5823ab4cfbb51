"""report: the page that a person opens, and the explorer of examples.

Reads the tables and numbers of the stages before it, and for the explorer the examples, the cohort,
the grid and the scalers of the models. Writes metrics/report.html, which has no values of single
patients, and data/report/explorer.html, which has. Costs seconds.
"""

from icu_adversarial.config.params import Params
from icu_adversarial.core.io import atomic
from icu_adversarial.core.paths import EXPLORER, REPORT
from icu_adversarial.report.examples import read_examples
from icu_adversarial.report.explorer import explorer
from icu_adversarial.report.inputs import read_results
from icu_adversarial.report.sections import report


def run(params: Params) -> None:
    """Write both pages.

    Args:
        params: The settings.

    Raises:
        InputError: An input is missing or unreadable. Nothing is written then.
    """
    source, names = params.label, params.columns
    attack = params.attack
    results = read_results(source, params.outcome.phrase, params.objectives, attack.space)
    examples = read_examples(params.objectives, attack, names, params.hours)
    pages = {REPORT: report(results), EXPLORER: explorer(results, examples, params.bin_hours)}
    for path, text in pages.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
