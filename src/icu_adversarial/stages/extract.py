"""extract: stays and events from raw records, with an account of every row.

Reads extract.raw. Writes data/extract and metrics/extract with coverage and counts. It reads each
raw table once or twice: minutes for a hospital with 300 million rows.
"""

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import write_csv, write_json
from icu_adversarial.core.schemas import EVENTS, STAYS, to_table, write_batches, write_table
from icu_adversarial.extract.coverage import Coverage
from icu_adversarial.extract.registry import read
from icu_adversarial.extract.summary import summary, warn
from icu_adversarial.measurements import choose


def run(params: Params) -> None:
    options, hours = params.extract, params.window_hours
    measurements = choose(params.names, options.source, options.potassium, options.limits)
    records = read(
        options.source, options.raw, hours, measurements, options.code_map, options.lab_time
    )
    checked = to_table(records.stays, STAYS)  # before the long part
    coverage = Coverage(records.stays["stay_id"].to_numpy(), params.names)
    write_batches(paths.EVENTS, coverage.watch(records.events), EVENTS)
    write_table(paths.STAYS, checked, STAYS)
    write_json(paths.EXCLUDED, records.excluded)

    records.account.add_stays(len(records.stays), records.excluded)
    table = coverage.table(options.source, options.label)
    folder = paths.METRICS / "extract"
    write_csv(folder / "plots" / "coverage.csv", table)
    rows = records.account.shares()
    rows.insert(0, "source", options.label)
    write_csv(folder / "plots" / "rows.csv", rows)
    write_json(folder / "metrics.json", summary(records, table, options.label, hours))
    warn(records.account)
