"""summarize: the summary of the whole run, the only file that DVC shows as metrics.

Reads metrics/evaluate/metrics.json and data/headlines, which analyze writes for each objective.
Writes metrics/summary.json. Costs a second. `python src/run.py summary` prints it.
"""

from icu_adversarial.analyze.overview import overview
from icu_adversarial.config.params import Params
from icu_adversarial.core.io import read_json, write_json
from icu_adversarial.core.paths import HEADLINES, METRICS, SUMMARY


def run(params: Params) -> None:
    """Write the summary of the objectives of params.yaml."""
    model = read_json(METRICS / "evaluate" / "metrics.json")
    attacks = [read_json(HEADLINES / f"{objective}.json") for objective in params.objectives]
    write_json(SUMMARY, overview(model, attacks))
