"""Raw records → data/extract/stays.parquet and events.parquet, with counts and the coverage of every measurement."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import write_csv, write_json
from icu_adversarial.core.log import follow
from icu_adversarial.core.schemas import EVENTS, STAYS, to_table, write_batches, write_table
from icu_adversarial.extract.registry import read
from icu_adversarial.measurements import ABSENT, NAMES, M, choose, note


class Coverage:
    """Counts events, and stays with at least one, per measurement, while batches pass by."""

    def __init__(self, stay_ids: np.ndarray) -> None:
        self.stay_ids = stay_ids  # sorted
        self.events = np.zeros(M, np.int64)
        self.seen = np.zeros((len(stay_ids), M), bool)

    def watch(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in follow(batches, "extract", "batch"):
            codes = batch["measurement"].indices.to_numpy()
            self.events += np.bincount(codes, minlength=M)
            self.seen[np.searchsorted(self.stay_ids, batch["stay_id"].to_numpy()), codes] = True
            yield batch

    def table(self, source: str, label: str) -> pd.DataFrame:
        """One row per measurement.

        Args:
            source: As extract.source.
            label: What figures call the source.

        Returns:
            source (the label), measurement, stays (with an event), share (of all stays), events,
            events_per_stay and remark: what differs in this source, ABSENT for one without events.
        """
        stays = self.seen.sum(axis=0)
        remarks = [
            note(source, name) if events else ABSENT
            for name, events in zip(NAMES, self.events, strict=True)
        ]
        return pd.DataFrame(
            {
                "source": label,
                "measurement": NAMES,
                "stays": stays,
                "share": stays / len(self.stay_ids),
                "events": self.events,
                "events_per_stay": self.events / len(self.stay_ids),
                "remark": remarks,
            }
        )


def run(params: Params) -> None:
    options = params.extract
    records = read(
        options.source,
        options.raw,
        params.window_hours,
        choose(options.potassium),
        options.code_map,
    )
    stays = records.stays
    checked = to_table(stays, STAYS)  # before the long part
    coverage = Coverage(stays["stay_id"].to_numpy())
    write_batches(paths.EVENTS, coverage.watch(records.events), EVENTS)
    write_table(paths.STAYS, checked, STAYS)
    write_json(paths.EXCLUDED, records.excluded)

    label = options.label
    table = coverage.table(options.source, label)
    folder = paths.METRICS / "extract"
    write_csv(folder / "plots" / "coverage.csv", table)
    write_json(
        folder / "metrics.json",
        {
            "source": label,
            "icu_stays": len(stays),
            "icu_stays_in_icu_until_window_end": int(
                (~(stays["out_hour"] < params.window_hours)).sum()
            ),
            "excluded": records.excluded,
            "laboratory_values_left_out": records.left_out,
            "subjects": stays["subject_id"].nunique(),
            "deaths": int(stays["died"].sum()),
            "events": int(coverage.events.sum()),
            "stays_with": dict(zip(NAMES, table["stays"].tolist(), strict=True)),
        },
    )
