"""A whole cohort, task by task: each finished task is two files, so that a killed run goes on where it was, and the memory holds a few tasks."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from icu_adversarial.attack.loop import (
    Attack,
    Task,
    in_processes,
    run_task,
    split_by_fold,
    to_tables,
)
from icu_adversarial.tables import EXAMPLES, PERTURBATIONS, read_batches, write_table


class Checkpoint(NamedTuple):
    """The two tables of a task, sorted. first: its first stay_id."""

    first: int
    examples: Path
    perturbations: Path


def attack_cohort(
    chosen: pd.DataFrame,
    tasks: Callable[[pd.DataFrame], Iterable[Task]],
    attack: Attack,
    bin_hours: int,
    state: Path,
    size: int | None = None,
) -> list[Checkpoint]:
    """Attack `chosen` (of `choose_stays`); the results are files in `state`, a checkpoint for each part of `split_by_fold`, by first stay_id.

    tasks: makes the task of such a part, which has at most `size` stays. What `state` already holds, from a run that was killed, is not attacked
    again.
    """
    checkpoints, missing = [], []
    for fold, members in split_by_fold(chosen, size):
        first = int(members["stay_id"].iloc[0])
        part = f"{fold}_{first}_{len(members)}"  # a GPU takes larger parts
        checkpoint = Checkpoint(
            first, state / f"examples_{part}.parquet", state / f"perturbations_{part}.parquet"
        )
        checkpoints.append(checkpoint)
        if not checkpoint.perturbations.exists():
            missing.append((members, checkpoint))
    jobs = (
        (task, attack, bin_hours, checkpoint)
        for members, checkpoint in missing
        for task in tasks(members)
    )
    with tqdm(
        total=len(chosen),
        initial=len(chosen) - sum(len(members) for members, _ in missing),
        desc="attack",
        unit="stay",
    ) as bar:
        for stays in in_processes(_attack_and_store, jobs):
            bar.update(stays)
    return sorted(checkpoints)


def _attack_and_store(task: Task, attack: Attack, bin_hours: int, checkpoint: Checkpoint) -> int:
    """The process that finished a task writes it, at once. Returns the number of stays."""
    examples, perturbations = to_tables([run_task(task, attack)], bin_hours)
    write_table(checkpoint.examples, examples, EXAMPLES)
    write_table(
        checkpoint.perturbations, perturbations, PERTURBATIONS
    )  # the last one: where it is, the checkpoint is whole
    return len(task.y)


def in_order(
    checkpoints: list[Checkpoint], name: str, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The tables `name` (examples | perturbations) of all checkpoints as one table, in the order of the stays; holds about a task of each fold."""
    waiting = schema.empty_table()
    for i, checkpoint in enumerate(checkpoints):
        waiting = pa.concat_tables(
            [
                waiting,
                pa.Table.from_batches(read_batches(getattr(checkpoint, name), schema), schema),
            ]
        )
        waiting = waiting.take(
            np.argsort(waiting["stay_id"], kind="stable")
        )  # within a stay they are sorted
        ready = (
            np.searchsorted(waiting["stay_id"], checkpoints[i + 1].first)
            if i + 1 < len(checkpoints)
            else len(waiting)
        )
        yield from waiting[:ready].to_batches()
        waiting = waiting[ready:]
