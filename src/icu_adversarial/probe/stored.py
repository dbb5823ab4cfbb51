"""The best examples of an attack, from its stored tables. The stage `probe` uses them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from icu_adversarial.attack.api import DIRECTIONS
from icu_adversarial.attack.tasks import Task
from icu_adversarial.core.schemas import PERTURBATIONS, read_batches
from icu_adversarial.measurements import NAMES

CELLS = ["stay_id", "hour", "measurement", "delta", "delta_clinical"]


def attacked_stays(examples: pd.DataFrame) -> pd.DataFrame:
    """The attacked stays, as `choose_stays` returns them.

    Args:
        examples: schemas.EXAMPLES.

    Returns:
        The columns stay_id, fold and y.
    """
    best = examples[examples["kind"] == "best"].reset_index(drop=True)
    y = best["direction"].map({d: y for y, d in enumerate(DIRECTIONS)}).astype(np.int64)
    return best.assign(y=y)[["stay_id", "fold", "y"]]


def read_best_cells(file: Path) -> pd.DataFrame:
    """Read the changed cells of the best examples.

    Args:
        file: schemas.PERTURBATIONS.

    Returns:
        The columns CELLS, sorted by stay_id.
    """
    batches = [
        batch.filter(pc.equal(batch["kind"], "best")).select(CELLS)
        for batch in read_batches(file, PERTURBATIONS)
    ]
    schema = pa.schema([PERTURBATIONS.field(name) for name in CELLS])
    return pa.Table.from_batches(batches, schema).to_pandas()


def dense(task: Task, cells: pd.DataFrame, column: str, bin_hours: int) -> np.ndarray:
    """Spread the perturbations of a task's stays over its grid.

    Args:
        task: Its stays are sorted by stay_id.
        cells: From `read_best_cells`.
        column: delta (model input units) or delta_clinical.
        bin_hours: Hours of a row of the grid.

    Returns:
        float32 (n, T, 19). All values of a stay that was not flipped are zero.
    """
    values = np.zeros(task.grid.shape, np.float32)
    ends = np.searchsorted(cells["stay_id"], task.stay_id[[0, -1]] + [0, 1])
    near = cells[slice(*ends)]
    row = pd.Index(task.stay_id).get_indexer(near["stay_id"])
    own = near[row >= 0]
    measurement = pd.Index(NAMES).get_indexer(pd.Index(own["measurement"].astype(str)))
    values[row[row >= 0], own["hour"] // bin_hours, measurement] = own[column]
    return values
