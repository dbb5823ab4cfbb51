"""The examples of all tasks as the two tables that the stage attack stores."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.attack.verify import KINDS, Found, _concat
from icu_adversarial.core.schemas import EXAMPLES, PERTURBATIONS, measurement_column, to_table


def to_tables(found: Iterable[Found], bin_hours: int) -> tuple[pa.Table, pa.Table]:
    """All results as (tables.EXAMPLES, tables.PERTURBATIONS), sorted by stay_id, kind (first, best), hour and measurement."""
    parts = list(found)
    if not parts:
        return EXAMPLES.empty_table(), PERTURBATIONS.empty_table()
    examples, cells = map(_concat, zip(*parts, strict=True))
    examples = examples.sort_values(["stay_id", "kind"], key=_rank, ignore_index=True)
    cells = cells.sort_values(
        ["stay_id", "kind", "bin", "measurement"], key=_rank, ignore_index=True
    )
    cells["hour"] = (cells["bin"] * bin_hours).astype(np.int8)
    columns = {name: cells[name] for name in PERTURBATIONS.names} | {
        "measurement": measurement_column(cells["measurement"].to_numpy())
    }
    return to_table(examples, EXAMPLES), pa.table(columns, schema=PERTURBATIONS)


def _rank(column: pd.Series) -> pd.Series:
    return column.map(KINDS.index) if column.name == "kind" else column
