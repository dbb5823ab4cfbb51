"""The record space compared with the grid space, on the models of the last run.

python benchmarks/attack_space.py            # after make repro; prints Markdown

An iteration is one pass for the margin and its gradient. Both spaces are timed in turn, with one
thread. The examples are those of an attack in each space on the same stays. An example of the grid
survives if the prediction still flips when only its measured cells are edited, and the record is
preprocessed again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in src/run.py, before torch is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch

from icu_adversarial.attack.algorithms.registry import METHODS, method_for
from icu_adversarial.attack.api import margin_and_gradient, margins, zero_small
from icu_adversarial.attack.inputs import read_tasks
from icu_adversarial.attack.perturbed import margins_after
from icu_adversarial.attack.tasks import Task, choose_stays, model_input
from icu_adversarial.attack.victims import read_victims
from icu_adversarial.config.params import load_params
from icu_adversarial.core import paths
from icu_adversarial.core.schemas import PREDICTIONS, read_table

SPACES = ("grid", "record")
ROWS = 48  # stays of a timed pass


def tasks_in(space: str, stays: int) -> list[Task]:
    """The same stays in a space."""
    chosen = choose_stays(
        read_table(paths.PREDICTIONS, PREDICTIONS),
        max_stays=stays,
        attack_misclassified=False,
        seed=1234,
    )
    return list(read_tasks(read_victims(load_params().columns, space))(chosen))


def seconds(task: Task) -> float:
    """The time of one iteration."""
    x, y, lower, _ = (tensor[:ROWS] for tensor in model_input(task))
    start = time.perf_counter()
    margin_and_gradient(task.victim.model, x, y, torch.zeros_like(lower))
    return time.perf_counter() - start


def attacked(task: Task, objective: str) -> np.ndarray:
    """The best perturbations of a task, with the settings that the last run found."""
    best = json.loads((paths.TUNE_ATTACK / objective / "best.json").read_text())
    attack = partial(METHODS[method_for(objective, "auto")], **best["hyperparameters"])
    x, y, lower, upper = model_input(task)
    found = attack(task.victim.model, x, y, lower=lower, upper=upper, iterations=200).best
    return zero_small(found.perturbation).numpy()


def survives(record: Task, task: Task, P: np.ndarray) -> np.ndarray:
    """Which examples of the grid flip as edits of the record, bool (n,)."""
    x, *_ = model_input(task)
    values = x[..., : P.shape[2]].numpy()
    moved = np.clip(values + P, 0, 1) - values
    edits = np.where(np.isfinite(task.grid), moved, 0).astype(np.float32)
    return (margins_after(record, edits) < 0).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stays", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tasks = {space: tasks_in(space, arguments.stays) for space in SPACES}
    for space in SPACES:
        seconds(tasks[space][0])  # the first pass makes buffers
    times = [[seconds(tasks[space][0]) for space in SPACES] for _ in range(arguments.repeats)]
    grid, record = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(b / a for a, b in times)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    print(f"Commit {commit.stdout.strip()}. {arguments.stays} stays of the last run.\n")
    print("| | grid | record | ratio |\n|---|---|---|---|")
    print(f"| iteration, ms (median of {arguments.repeats}) | {1000 * grid:.1f} | ", end="")
    print(f"{1000 * record:.1f} | {ratio:.2f} |\n")
    print("| objective | space | flipped | median cells | measured cells | survive |")
    print("|---|---|---|---|---|---|")
    for objective in load_params().objectives:
        for space in SPACES:
            rows = []
            for task, in_record in zip(tasks[space], tasks["record"], strict=True):
                P = attacked(task, objective)
                x, y, *_ = model_input(task)
                flips = (margins_after(task, P) < 0).numpy()
                assert (margins(task.victim.model, x, y, x[..., : P.shape[2]]) > 0).all()
                alive = flips if space == "record" else survives(in_record, task, P) & flips
                cells = (P != 0).reshape(len(P), -1).sum(1)
                seen = ((P != 0) & np.isfinite(task.grid)).reshape(len(P), -1).sum(1)
                rows.append(np.stack([flips, cells, seen, alive], 1))
            flips, cells, seen, alive = np.concatenate(rows).T
            found = flips > 0
            print(
                f"| {objective} | {space} | {found.mean():.0%} | {np.median(cells[found]):.0f} | "
                f"{seen[found].sum() / cells[found].sum():.0%} | {alive[found].mean():.0%} |"
            )


if __name__ == "__main__":
    main()
