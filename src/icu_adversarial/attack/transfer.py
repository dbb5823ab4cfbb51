"""Do examples made for one model also flip another one?"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
import torch

from icu_adversarial.attack.checkpoints import Checkpoint
from icu_adversarial.attack.ensemble import ENSEMBLE, FILE
from icu_adversarial.attack.loop import DIRECTIONS, Task, Victim, device_of, model_input
from icu_adversarial.attack.problem import margins
from icu_adversarial.measurements import NAMES, M
from icu_adversarial.tables import EXAMPLES, PERTURBATIONS, read_table


def transfer(
    chosen: pd.DataFrame,
    checkpoints: Iterable[Checkpoint],
    tasks: Callable[[pd.DataFrame], Iterable[Task]],
    victims: Mapping[int, Victim],
    bin_hours: int,
) -> pd.DataFrame:
    """Score the best examples of each attacked model on every model of `victims`, moved by the same amount in clinical units, each value from where
    the scored model's limits hold it.

    chosen, checkpoints, tasks: as for and from `checkpoints.attack_cohort`. Returns one row per direction, `attacked` and `scored` model ("fold 0",
    ..., "ensemble", "file"): `examples`, those whose unchanged stay the scored model decides as the attacked one does, and `flipped`, the share that
    it then decides otherwise; NaN without examples. A fold's own stays were in the training data of the other folds' models.
    """
    counts = []
    for checkpoint in checkpoints:
        examples, cells = (
            read_table(checkpoint.examples, EXAMPLES),
            read_table(checkpoint.perturbations, PERTURBATIONS),
        )
        flipped = examples.loc[(examples["kind"] == "best") & examples["success"], "stay_id"]
        for task in tasks(chosen[chosen["stay_id"].isin(flipped)]):
            clinical = _dense(task, cells[cells["kind"] == "best"], bin_hours)
            for fold, victim in victims.items():
                before, after = _before_and_after(task._replace(victim=victim), clinical)
                for y, direction in enumerate(DIRECTIONS):
                    counted = (before > 0) & (task.y == y)
                    counts.append(
                        (
                            direction,
                            _name(task.fold),
                            _name(fold),
                            int(counted.sum()),
                            int((counted & (after < 0)).sum()),
                        )
                    )
    keys = ["direction", "attacked", "scored"]
    table = (
        pd.DataFrame(counts, columns=[*keys, "examples", "flipped"])
        .groupby(keys, as_index=False)
        .sum()
    )
    return table.assign(flipped=table["flipped"] / table["examples"].where(table["examples"] > 0))


def _name(fold: int) -> str:
    return {ENSEMBLE: "ensemble", FILE: "file"}.get(fold, f"fold {fold}")


def _dense(task: Task, cells: pd.DataFrame, bin_hours: int) -> np.ndarray:
    """The perturbations of a task's stays in clinical units, float32 (n, T, 19)."""
    clinical = np.zeros(task.grid.shape, np.float32)
    row = pd.Index(task.stay_id).get_indexer(cells["stay_id"])
    own = row >= 0
    column = pd.Index(NAMES).get_indexer(pd.Index(cells["measurement"][own].astype(str)))
    clinical[row[own], cells["hour"][own] // bin_hours, column] = cells["delta_clinical"][own]
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
    return margins(task.victim.model, x, y, values).cpu().numpy(), margins(
        task.victim.model, x, y, changed
    ).cpu().numpy()
