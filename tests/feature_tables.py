"""Small tables of stays and events, written by hand."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from literature_set import NAMES

from icu_adversarial.core.schemas import EVENTS, measurement_column

NAN = float("nan")


def event_batches(
    *rows: tuple[int, float, str, float], names: Sequence[str] = NAMES
) -> list[pa.RecordBatch]:
    """One batch of tables.EVENTS from (stay_id, hour, measurement, value), sorted; none without rows."""
    if not rows:
        return []
    stay, hour, name, value = zip(*sorted(rows), strict=True)
    codes = np.array([names.index(n) for n in name])
    return [
        pa.record_batch(
            [
                pa.array(stay, pa.int64()),
                pa.array(hour, pa.float32()),
                measurement_column(codes, names),
                pa.array(value, pa.float32()),
            ],
            EVENTS,
        )
    ]


def make_stays(**columns: list[object]) -> pd.DataFrame:
    """tables.STAYS that every rule of the cohort keeps, but for the columns given; one subject and one admission each."""
    n = len(next(iter(columns.values())))
    usual = {
        "stay_id": range(1, n + 1),
        "subject_id": range(101, n + 101),
        "hadm_id": range(201, n + 201),
        "subject_order": [1] * n,
        "source_group": ["a"] * n,
        "age": [60.0] * n,
        "sex": ["F"] * n,
        "icu_type": [None] * n,
        "admit_hour": [-5.0] * n,
        "discharge_hour": [200.0] * n,
        "out_hour": [100.0] * n,
        "death_hour": [NAN] * n,
    }
    usual |= {"icu_died": [False] * n, "death_day": [None] * n, "followed_days": [90] * n}
    frame = pd.DataFrame(usual | columns)
    return frame if "died" in columns else frame.assign(died=frame["death_hour"].notna())
