"""Time, memory and size of the results of an attack on a whole cohort, by the number of stays.

python benchmarks/attack_cohort.py CHALLENGE_FOLDER --stays 40000 --profile   # on a GPU
python benchmarks/attack_cohort.py CHALLENGE_FOLDER --stays 10000 40000 \\
    --attacks "l1 fast" "l0 fast"                                             # on CPUs

The attack runs as in the stage `attack`. The stays are the correctly classified ones of two folds
of PhysioNet Challenge 2012, out of fold. They are repeated until the number is reached. The profile
is that of one task.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in src/run.py, before torch is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import pandas as pd
import torch
from attack_peers import SETTINGS
from attack_victims import FOLDS, RECIPES, cohort_of, predictions, train, workplace

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.checkpoints import attack_cohort, in_order
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.attack.tasks import Attack, Task, Victim, choose_stays, make_tasks
from icu_adversarial.attack.verify import run_task
from icu_adversarial.core.schemas import EXAMPLES, PERTURBATIONS, read_table, write_batches
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.training import training_device


class Repeated:
    """A grid of any number of stays. Row i is row i modulo n of the n real ones."""

    def __init__(self, grid: np.ndarray) -> None:
        self.grid = grid

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.grid[rows % len(self.grid)])


def make(models: Path, stays: int) -> tuple[pd.DataFrame, Callable[[pd.DataFrame], Iterator[Task]]]:
    """The stays to attack, and a function that makes their tasks."""
    cohort, grid = cohort_of(models)
    correct = choose_stays(predictions(models), max_stays=None, attack_misclassified=False, seed=0)
    times = -(-stays // len(correct))
    step = int(cohort["stay_id"].max()) + 1
    copies = [correct.assign(stay_id=correct["stay_id"] + i * step) for i in range(times)]
    chosen = (
        pd.concat(copies, ignore_index=True).iloc[:stays].sort_values("stay_id", ignore_index=True)
    )
    cohorts = pd.concat(
        [cohort.assign(stay_id=cohort["stay_id"] + i * step) for i in range(times)],
        ignore_index=True,
    )
    device = training_device()
    victims = {
        k: Victim(
            for_attack(load_model(models / f"fold_{k}")).to(device),
            Scaler.load(models / f"fold_{k}" / "scaler.json"),
        )
        for k in FOLDS
    }
    return chosen, partial(make_tasks, cohort=cohorts, grid=Repeated(grid), victims=victims)


def named(name: str) -> Attack:
    return partial(METHODS[name.split()[0]], **SETTINGS[name])


def whole(name: str, models: Path, stays: int) -> None:
    chosen, tasks = make(models, stays)
    attack = named(name)
    next(
        iter(map(partial(run_task, attack=attack), tasks(chosen.iloc[:64])))
    )  # compiles and loads the first kernels of a GPU
    for process in own_processes():
        (process / "clear_refs").write_text("5")  # resets the peak of the memory
    with tempfile.TemporaryDirectory() as folder:
        clock = time.perf_counter()
        checkpoints = attack_cohort(chosen, tasks, attack, 1, Path(folder))
        files = [Path(folder, f"{table}.parquet") for table in ("examples", "perturbations")]
        for file, schema in zip(files, (EXAMPLES, PERTURBATIONS), strict=True):
            write_batches(file, in_order(checkpoints, file.stem, schema), schema)
        seconds = time.perf_counter() - clock
        best = read_table(files[0], EXAMPLES).query("kind == 'best'")
        size = sum(file.stat().st_size for file in files)
    memory = peak_memory()
    flipped = best[best["success"]]
    print(
        f"{name}: {stays:,} stays in {seconds:.1f} s ({1e3 * seconds / stays:.2f} ms each), success {best['success'].mean():.4f}, median L1",
        end=" ",
    )
    print(
        f"{flipped['l1'].median():.2f}, L0 {flipped['l0'].median():g}; {size / 1e6:.1f} MB; largest process {memory:,.0f} MB",
        flush=True,
    )


def own_processes() -> list[Path]:
    """This process and its workers, from /proc."""
    workers = [
        worker
        for children in Path("/proc/self/task").glob("*/children")
        for worker in children.read_text().split()
    ]
    return [Path("/proc", process) for process in ("self", *workers)]


def peak_memory() -> float:
    """The memory of the largest process, in MB."""
    return (
        max(
            int(peak)
            for process in own_processes()
            for peak in re.findall(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
        )
        / 1024
    )


def profile(name: str, models: Path) -> None:
    """Print where the time of one task is spent."""
    chosen, tasks = make(models, 4096)
    task = next(tasks(chosen[chosen["fold"] == FOLDS[0]]))
    activities = [torch.profiler.ProfilerActivity.CPU] + [
        torch.profiler.ProfilerActivity.CUDA
    ] * torch.cuda.is_available()
    with torch.profiler.profile(activities=activities) as recorded:
        run_task(task, named(name))
    by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    print(f"{name}, a task of {len(task.y)} stays:")
    print(recorded.key_averages().table(sort_by=by, row_limit=12, max_name_column_width=50))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "raw", type=Path, help="folder with set-a.tar.gz, set-b.tar.gz and their Outcomes"
    )
    parser.add_argument("--work", type=Path, help="for the networks; a temporary folder by default")
    parser.add_argument("--stays", type=int, nargs="+", default=[2000, 4000, 8000])
    parser.add_argument("--victim", choices=RECIPES, default="default")
    parser.add_argument("--attacks", nargs="+", choices=SETTINGS, default=["l1", "l0"])
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with workplace(arguments.raw, arguments.work) as params:
        models = train(arguments.victim, params)
        for name in arguments.attacks:
            for stays in arguments.stays:
                whole(name, models, stays)
            if arguments.profile:
                profile(name, models)


if __name__ == "__main__":
    main()
