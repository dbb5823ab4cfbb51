"""Do examples made for one model also flip another one?"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch

from icu_adversarial.attack.ensemble import ENSEMBLE, FILE
from icu_adversarial.attack.loop import Task, Victim, device_of, model_input
from icu_adversarial.attack.problem import margins
from icu_adversarial.attack.quality import DIRECTIONS
from icu_adversarial.attack.tasks import attacked_stays
from icu_adversarial.measurements import NAMES, M
from icu_adversarial.tables import PERTURBATIONS, read_batches

CELLS = ("stay_id", "hour", "measurement", "delta_clinical")


def transfer(
    examples: pd.DataFrame,
    perturbations: Path,
    tasks: Callable[[pd.DataFrame], Iterable[Task]],
    victims: Mapping[int, Victim],
    bin_hours: int,
) -> pd.DataFrame:
    """Score the best examples of each attacked model on every model of `victims`.

    The same amount in clinical units is added to what each model reads, which lies within the
    limits of its own scaler.

    Args:
        examples: The table tables.EXAMPLES.
        perturbations: The file with tables.PERTURBATIONS, of the same attack.
        tasks: Makes the tasks of some stays (stay_id, fold, y).
        victims: The models to score, by fold.
        bin_hours: Hours of a row of the grid.

    Returns:
        One row per direction, `attacked` and `scored` model ("fold 0", ..., "ensemble", "file").
        `examples`: the number of stays that both models classify alike before the perturbation.
        `flipped`: the share of them that the scored model classifies otherwise after it; NaN
        without examples. A fold's stays were in the training data of the other folds' models.
    """
    flipped = examples.loc[(examples["kind"] == "best") & examples["success"], "stay_id"]
    chosen = attacked_stays(examples)
    cells = _best_cells(perturbations)
    counts = []
    for task in tasks(chosen[chosen["stay_id"].isin(flipped)]):
        clinical = _dense(task, cells, bin_hours)
        for fold, victim in victims.items():
            before, after = _before_and_after(task._replace(victim=victim), clinical)
            for y, direction in enumerate(DIRECTIONS):
                counted = (before > 0) & (task.y == y)
                numbers = int(counted.sum()), int((counted & (after < 0)).sum())
                counts.append((direction, _name(task.fold), _name(fold), *numbers))
    keys = ["direction", "attacked", "scored"]
    table = (
        pd.DataFrame(counts, columns=[*keys, "examples", "flipped"])
        .groupby(keys, as_index=False)
        .sum()
    )
    return table.assign(flipped=table["flipped"] / table["examples"].where(table["examples"] > 0))


def _name(fold: int) -> str:
    return {ENSEMBLE: "ensemble", FILE: "file"}.get(fold, f"fold {fold}")


def _best_cells(file: Path) -> pd.DataFrame:
    """The columns CELLS of the best examples, by stay_id."""
    batches = [
        batch.filter(pc.equal(batch["kind"], "best")).select(CELLS)
        for batch in read_batches(file, PERTURBATIONS)
    ]
    schema = pa.schema([PERTURBATIONS.field(name) for name in CELLS])
    return pa.Table.from_batches(batches, schema).to_pandas()


def _dense(task: Task, cells: pd.DataFrame, bin_hours: int) -> np.ndarray:
    """The perturbations of a task's stays in clinical units, float32 (n, T, 19)."""
    clinical = np.zeros(task.grid.shape, np.float32)
    ends = np.searchsorted(cells["stay_id"], task.stay_id[[0, -1]] + [0, 1])
    near = cells[slice(*ends)]
    row = pd.Index(task.stay_id).get_indexer(near["stay_id"])
    own = near[row >= 0]
    column = pd.Index(NAMES).get_indexer(pd.Index(own["measurement"].astype(str)))
    clinical[row[row >= 0], own["hour"] // bin_hours, column] = own["delta_clinical"]
    return clinical


def _before_and_after(task: Task, clinical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Z_y - Z_t of the task's victim for the unchanged and for the changed stays, (n,) each; values stay within the scaler's limits."""
    x, y, lower, upper = model_input(task)
    span = np.where(
        task.victim.scaler.perturbable, task.victim.scaler.clinical_span, np.inf
    ).astype(np.float32)
    values = x[..., :M]
    changed = (values + torch.from_numpy(clinical / span).to(device_of(task.victim.model))).clamp(
        lower, upper
    )
    before, after = (margins(task.victim.model, x, y, seen) for seen in (values, changed))
    return before.cpu().numpy(), after.cpu().numpy()
