"""How many events each measurement has, and how many stays have at least one."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.core.log import follow
from icu_adversarial.measurements import ABSENT, note


class Coverage:
    """Counts events, and stays with at least one event, per measurement.

    Attributes:
        stay_ids: int64 (stays), sorted.
        names: The measurements, in their order; there are M.
        events: int64 (M): events of each measurement.
        seen: bool (stays, M): whether a stay has an event of a measurement.
    """

    def __init__(self, stay_ids: np.ndarray, names: Sequence[str]) -> None:
        self.stay_ids, self.names = stay_ids, tuple(names)
        self.events = np.zeros(len(names), np.int64)
        self.seen = np.zeros((len(stay_ids), len(names)), bool)

    def watch(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches of tables.EVENTS, counted, with a progress bar."""
        for batch in follow(batches, "extract", "batch"):
            codes = batch["measurement"].indices.to_numpy()
            self.events += np.bincount(codes, minlength=len(self.names))
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
            for name, events in zip(self.names, self.events, strict=True)
        ]
        return pd.DataFrame(
            {
                "source": label,
                "measurement": self.names,
                "stays": stays,
                "share": stays / len(self.stay_ids),
                "events": self.events,
                "events_per_stay": self.events / len(self.stay_ids),
                "remark": remarks,
            }
        )
