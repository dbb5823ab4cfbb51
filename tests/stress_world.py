"""Some stays with their records, and models with known answers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from literature_set import NAMES, M

from icu_adversarial.features.grid import grid_from_events
from icu_adversarial.records.recorded import Records
from icu_adversarial.stress.moves import Question

N, T = 12, 6
TYPICAL = {"potassium": 4, "glucose": 120, "heartrate": 80, "spo2": 97, "creatinine": 1.2}
WEIGHT = {"potassium": 1.0, "glucose": -0.01, "heartrate": 0.03, "creatinine": 0.8}


class Model(NamedTuple):
    """A model for tests."""

    name: str
    threshold: float
    log_odds: Callable[[np.ndarray, pd.DataFrame], np.ndarray]


def weights() -> np.ndarray:
    """The weight of each measurement in `linear`."""
    return np.array([WEIGHT.get(name, 0.0) for name in NAMES])


def linear(grid: np.ndarray, stays: pd.DataFrame) -> np.ndarray:
    """The sum over the observed cells of weight times distance from the typical value."""
    typical = np.array([TYPICAL.get(name, 0) for name in NAMES])
    return np.nan_to_num((grid - typical) * weights()).sum((1, 2)).astype(float)


def make_question(
    model: Callable[[np.ndarray, pd.DataFrame], np.ndarray] = linear, threshold: float = 0.0
) -> Question:
    """Records with at most one value in a cell, and a model of them."""
    rng = np.random.default_rng(2)
    names = [NAMES.index(name) for name in TYPICAL]
    seen = np.zeros((N, M, T), bool)
    seen[:, names] = rng.random((N, len(names), T)) < 0.5
    seen[:, names[0], 0] = True
    stay, column, hour = np.nonzero(seen)
    level = np.array([TYPICAL.get(name, 0) for name in NAMES])[column]
    value = (level * rng.uniform(0.8, 1.2, len(stay))).astype(np.float32)
    value[column == NAMES.index("spo2")] = 97
    starts = np.searchsorted(stay * M + column, np.arange(N * M + 1))
    records = Records(stay, column, hour.astype(np.float32), value, starts, range(T), NAMES)
    grid = grid_from_events(stay, records.hour, column, value, N, records.hours, NAMES)
    stays = pd.DataFrame(
        {
            "stay_id": np.arange(N) + 100,
            "subject_id": np.arange(N) // 2,
            "fold": np.arange(N) % 2,
            "age": 50.0 + np.arange(N),
            "sex": ["F", "M"] * (N // 2),
            "icu_type": "MICU",
            "source_group": None,
        }
    )
    return Question(Model("linear", threshold, model), records, grid, stays, np.arange(N))


def part_of(records: Records, rows: np.ndarray) -> Records:
    """The recorded values of some stays, with the stays numbered from 0."""
    own = np.isin(records.stay, rows)
    stay, column = np.searchsorted(rows, records.stay[own]), records.measurement[own]
    starts = np.searchsorted(stay * M + column, np.arange(len(rows) * M + 1))
    values = (records.hour[own], records.value[own])
    return Records(stay, column, *values, starts, records.hours, records.names)
