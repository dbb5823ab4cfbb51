"""Tasks whose model input is the grid itself, and a network that decides about half of them each way."""

from collections.abc import Iterable
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from attack_models import Calibrated
from literature_set import NAMES, M

from icu_adversarial.attack.examples import Found, examples_table, join, perturbations_table
from icu_adversarial.attack.tasks import Task, Victim

T = 12
SPAN = np.arange(1, M + 1, dtype=np.float32)
FIRST = 100  # stay_id of the first stay
one_process = partial(joblib.parallel_config, "sequential")


class Scaling:
    """Grids of these tests hold values in [0, 1]; SPAN is what 1 means in clinical units. Two extra channels: observed, and a constant."""

    names, clinical_span = NAMES, SPAN

    def __init__(self, fixed: tuple[int, ...] = ()) -> None:
        self.perturbable = ~np.isin(np.arange(M), fixed)

    def apply(self, grid: np.ndarray, stays: pd.DataFrame | None = None) -> np.ndarray:
        observed = np.isfinite(grid)
        return np.concatenate(
            [np.where(observed, grid, 0.5), observed, np.full_like(grid, 0.7)],
            axis=2,
            dtype=np.float32,
        )


def tables(found: Iterable[Found], bin_hours: int = 1) -> tuple[pa.Table, pa.Table]:
    """tables.EXAMPLES and tables.PERTURBATIONS of the examples of some tasks."""
    parts = list(found)
    return examples_table(parts), perturbations_table(join(parts), bin_hours, NAMES)


def make_grid(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grid = rng.random((n, T, M), dtype=np.float32)
    grid[rng.random(grid.shape) < 0.5] = np.nan
    return grid


def make_stays(stay_id: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """Rows of tables.COHORT."""
    rng, n = np.random.default_rng(seed), len(stay_id)
    return pd.DataFrame(
        {
            **{
                "stay_id": stay_id,
                "subject_id": stay_id,
                "died": rng.random(n) < 0.3,
                "age": rng.uniform(20, 90, n).astype(np.float32),
            },
            **{
                "sex": rng.choice(["F", "M"], n),
                "icu_type": rng.choice(["cardiac", "medical", "surgical"], n),
                "source_group": "tiny",
            },
            **{"is_test": False, "fold": np.int8(0)},
        }
    )


def make_task(n: int, model: Calibrated, fixed: tuple[int, ...] = ()) -> Task:
    grid, scaler = make_grid(n), Scaling(fixed)
    y = model.calibrate(torch.from_numpy(scaler.apply(grid))).numpy()
    return Task(0, Victim(model.eval(), scaler), make_stays(np.arange(FIRST, FIRST + n)), grid, y)


def pick(task: Task, rows: list[int]) -> Task:
    return task._replace(stays=task.stays.iloc[rows], grid=task.grid[rows], y=task.y[rows])
