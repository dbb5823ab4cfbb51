"""Attack a whole cohort task by task, and store each finished task in its own files.

So a run that was killed continues where it was, and only a few tasks are in memory.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.attack.examples import examples_table, perturbations_table
from icu_adversarial.attack.tasks import Attack, Task, split_by_fold
from icu_adversarial.attack.verify import in_processes, run_task
from icu_adversarial.core.io import atomic, clear_way, digest, discard
from icu_adversarial.core.log import Progress
from icu_adversarial.core.schemas import EXAMPLES, PERTURBATIONS, read_batches, write_table


class Checkpoint(NamedTuple):
    """The stored results of a task.

    Attributes:
        first: The first stay_id.
        examples: The file of its examples, sorted.
        perturbations: The file of its perturbations, sorted.
        seal: The file with the SHA-256 of both.
    """

    first: int
    examples: Path
    perturbations: Path
    seal: Path

    @property
    def tables(self) -> tuple[Path, Path]:
        """Both files."""
        return self.examples, self.perturbations

    def is_whole(self) -> bool:
        """Whether the task is stored. A checkpoint that is damaged is discarded."""
        folders = [file for file in self[1:] if file.is_dir()]
        for folder in folders:
            discard(folder, "is a folder")
        if folders or not self.seal.exists():
            return False
        present = all(file.exists() for file in self.tables)
        if present and self.seal.read_bytes() == digest(*self.tables).encode():
            return True
        discard(self.seal, f"does not fit {self.examples.name} and {self.perturbations.name}")
        return False


def attack_cohort(
    chosen: pd.DataFrame,
    tasks: Callable[[pd.DataFrame], Iterable[Task]],
    attack: Attack,
    bin_hours: int,
    state: Path,
    size: int | None = None,
) -> list[Checkpoint]:
    """Attack stays; store the results task by task.

    A task whose checkpoint `state` already holds, from a run that was killed, is not attacked
    again. One whose checkpoint is damaged is attacked again.

    Args:
        chosen: The stays, from `choose_stays`.
        tasks: Makes the task of a part of `chosen`.
        attack: The attack with its hyperparameters.
        bin_hours: Hours of a row of the grid.
        state: The folder of the checkpoints.
        size: The largest number of stays in a task; the default of `split_by_fold`.

    Returns:
        A checkpoint for each part of `split_by_fold`, by first stay_id.
    """
    clear_way(state)
    checkpoints, missing = [], []
    for fold, members in split_by_fold(chosen, size):
        first = int(members["stay_id"].iloc[0])
        part = f"{fold}_{first}_{len(members)}"  # a GPU takes larger parts
        checkpoint = Checkpoint(
            first,
            state / f"examples_{part}.parquet",
            state / f"perturbations_{part}.parquet",
            state / f"task_{part}.sha256",
        )
        checkpoints.append(checkpoint)
        if not checkpoint.is_whole():
            missing.append((members, checkpoint))
    jobs = (
        (task, attack, bin_hours, checkpoint)
        for members, checkpoint in missing
        for task in tasks(members)
    )
    done = len(chosen) - sum(len(members) for members, _ in missing)
    with Progress("attack", len(chosen), "stay", done) as progress:
        for stays, flipped in in_processes(_attack_and_store, jobs):
            progress.step(f"a task of {stays}, {flipped / stays:.0%} flipped", stays)
    return sorted(checkpoints)


def _attack_and_store(
    task: Task, attack: Attack, bin_hours: int, checkpoint: Checkpoint
) -> tuple[int, int]:
    """Attack a task and store it; the seal comes last. Returns the stays, and how many flipped."""
    found = run_task(task, attack)
    names = task.victim.scaler.names
    write_table(checkpoint.examples, examples_table([found]), EXAMPLES)
    changes = perturbations_table(found, bin_hours, names)
    write_table(checkpoint.perturbations, changes, PERTURBATIONS)
    with atomic(checkpoint.seal) as temporary:
        temporary.write_text(digest(*checkpoint.tables))
    best = found.examples["kind"] == "best"
    return len(task.y), int(found.examples["success"][best].sum())


def in_order(
    checkpoints: list[Checkpoint], name: str, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Join the tables of all checkpoints in the order of the stays.

    About one task of each fold is in memory at a time.

    Args:
        checkpoints: Sorted by their first stay.
        name: examples or perturbations.
        schema: The schema of this table.

    Returns:
        The rows as batches, sorted by stay_id.
    """
    waiting = schema.empty_table()
    for i, checkpoint in enumerate(checkpoints):
        waiting = pa.concat_tables(
            [
                waiting,
                pa.Table.from_batches(read_batches(getattr(checkpoint, name), schema), schema),
            ]
        )
        # The rows of a stay are sorted already.
        waiting = waiting.take(np.argsort(waiting["stay_id"], kind="stable"))
        ready = (
            np.searchsorted(waiting["stay_id"], checkpoints[i + 1].first)
            if i + 1 < len(checkpoints)
            else len(waiting)
        )
        yield from waiting[:ready].to_batches()
        waiting = waiting[ready:]
