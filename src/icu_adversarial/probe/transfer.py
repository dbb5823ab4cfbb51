"""Whether examples made for one model also flip another model. The stage probe calls it."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from icu_adversarial.attack.api import DIRECTIONS
from icu_adversarial.attack.perturbed import margins_after_clinical
from icu_adversarial.attack.tasks import Task, Victim
from icu_adversarial.core.schemas import ENSEMBLE, FILE
from icu_adversarial.probe.stored import attacked_stays, dense


def transfer(
    examples: pd.DataFrame,
    cells: pd.DataFrame,
    tasks: Callable[[pd.DataFrame], Iterable[Task]],
    victims: Mapping[int, Victim],
    bin_hours: int,
) -> pd.DataFrame:
    """Score the best examples of each attacked model on every model of `victims`.

    The perturbation is in clinical units. Each model applies it to the values that it reads, which
    are within the limits of its own scaler.

    Args:
        examples: The table schemas.EXAMPLES.
        cells: What `stored.read_best_cells` reads of the same attack.
        tasks: Makes the tasks of some stays (stay_id, fold, y).
        victims: The models to score, by fold.
        bin_hours: Hours of a row of the grid.

    Returns:
        One row per direction, `attacked` and `scored` model ("fold 0", ..., "ensemble", "file").
        `examples`: the number of stays that both models classify alike before the perturbation.
        `flipped`: the share of them whose class the perturbation changes for the scored model; NaN
        without examples. The stays of a fold are training data of the other folds' models.
    """
    flipped = examples.loc[(examples["kind"] == "best") & examples["success"], "stay_id"]
    chosen = attacked_stays(examples)
    counts = []
    for task in tasks(chosen[chosen["stay_id"].isin(flipped)]):
        clinical = dense(task, cells, "delta_clinical", bin_hours)
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


def _before_and_after(task: Task, clinical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The margins Z_y - Z_t of a task's model before and after a perturbation, each (n,).

    clinical: the perturbation in clinical units, (n, T, M). The changed values stay within the
    limits of the scaler.
    """
    before, after = (
        margins_after_clinical(task, change) for change in (np.zeros_like(clinical), clinical)
    )
    return before.cpu().numpy(), after.cpu().numpy()
