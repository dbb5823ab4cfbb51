"""The best examples of an attack, read from the tables of the stage attack."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32

from icu_adversarial.attack.api import DIRECTIONS
from icu_adversarial.attack.tasks import Task
from icu_adversarial.core.columns import columns_in
from icu_adversarial.core.schemas import PERTURBATIONS, read_batches

CELLS = ["stay_id", "hour", "measurement", "delta", "delta_clinical"]


def attacked_stays(examples: pd.DataFrame) -> pd.DataFrame:
    """Find the stays that were attacked.

    Args:
        examples: schemas.EXAMPLES.

    Returns:
        stay_id, fold and y, as `tasks.choose_stays` returned them.
    """
    best = examples[examples["kind"] == "best"].reset_index(drop=True)
    y = best["direction"].map({d: y for y, d in enumerate(DIRECTIONS)}).astype(np.int64)
    return best.assign(y=y)[["stay_id", "fold", "y"]]


def read_best_cells(file: Path) -> pd.DataFrame:
    """Read the perturbed cells of the best examples.

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


def dense(
    task: Task, cells: pd.DataFrame, column: str, bin_hours: int
) -> Float32[np.ndarray, "n T M"]:
    """Spread the perturbations of a task's stays over its grid.

    Args:
        task: Some stays, sorted by stay_id.
        cells: What `read_best_cells` read.
        column: delta (model input units) or delta_clinical.
        bin_hours: Hours of a row of the grid.

    Returns:
        The perturbations, 0 in every cell of a stay that was not flipped.

    Raises:
        InputError: A cell is of a measurement that the model does not read.
    """
    values = np.zeros(task.grid.shape, np.float32)
    ends = np.searchsorted(cells["stay_id"], task.stay_id[[0, -1]] + [0, 1])
    near = cells[slice(*ends)]
    row = pd.Index(task.stay_id).get_indexer(near["stay_id"])
    own = near[row >= 0]
    measurement = columns_in(task.victim.scaler.names, own["measurement"])
    values[row[row >= 0], own["hour"] // bin_hours, measurement] = own[column]
    return values
