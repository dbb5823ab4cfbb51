"""The edits of recorded values that make the examples of an attack in the record space."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.core import paths
from icu_adversarial.core.columns import columns_in
from icu_adversarial.core.io import read_array
from icu_adversarial.core.schemas import (
    COHORT,
    EDITS,
    EVENTS,
    PERTURBATIONS,
    measurement_column,
    read_batches,
    read_table,
    write_table,
)
from icu_adversarial.measurements import DICTIONARY
from icu_adversarial.records.cells import edits_of_cells
from icu_adversarial.records.recorded import records_of


def write_edits(folder: Path, space: str, hours: range, names: Sequence[str]) -> None:
    """Write edits.parquet of an attack.

    Args:
        folder: The folder with its perturbations.parquet.
        space: `attack.space` of params.yaml. In the grid space the table has no rows.
        hours: The first hour of each bin.
        names: The measurements of the columns of the grid.
    """
    cells = read_table(folder / "perturbations.parquet", PERTURBATIONS)
    table = EDITS.empty_table()
    if space == "record" and len(cells):
        table = _edits(cells, hours, names)
    write_table(folder / "edits.parquet", table, EDITS)


def _edits(cells: pd.DataFrame, hours: range, names: Sequence[str]) -> pa.Table:
    """schemas.EDITS of the perturbed cells, schemas.PERTURBATIONS."""
    cohort = read_table(paths.COHORT, COHORT)["stay_id"]
    stay_id, stay = np.unique(cells["stay_id"], return_inverse=True)
    bins, column = cells["hour"].to_numpy() // hours.step, columns_in(names, cells["measurement"])
    row = pd.Index(cohort).get_indexer(stay_id)[stay]
    value = np.asarray(read_array(paths.GRID)[row, bins, column])
    records = records_of(read_batches(paths.EVENTS, EVENTS), stay_id, hours, names)
    edited = value + cells["delta_clinical"].to_numpy()
    edits = edits_of_cells(records, stay, bins.astype(np.int64), column, edited)
    event = edits["event"].to_numpy()
    frame = pd.DataFrame(
        {
            "stay_id": stay_id[records.stay[event]],
            "kind": cells["kind"].to_numpy()[edits["cell"]],
            "hour": records.hour[event],
            "column": records.measurement[event],
            "recorded": records.value[event],
            "edited": edits["edited"].astype(np.float32),
            "first": cells["kind"].to_numpy()[edits["cell"]] != "first",
        }
    )
    frame = frame[frame["recorded"] != frame["edited"]].sort_values(
        ["stay_id", "first", "hour", "column", "recorded"], ignore_index=True, kind="stable"
    )
    units = np.array([DICTIONARY[name].unit for name in names])
    columns = {name: frame[name] for name in EDITS.names if name in frame} | {
        "measurement": measurement_column(frame["column"].to_numpy(), names),
        "unit": units[frame["column"]],
    }
    return pa.table({name: columns[name] for name in EDITS.names}, schema=EDITS)
