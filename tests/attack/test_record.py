"""The record space: the operator against the NumPy path, and edits that flip from the raw files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from literature_set import NAMES, M
from places import MIMIC3, to_csv
from raw_edits import edit_challenge, edit_mimic3, keep_chartevents
from torch import Tensor, nn

from icu_adversarial.attack.algorithms.l0 import l0
from icu_adversarial.attack.edits import write_edits
from icu_adversarial.attack.examples import perturbations_table
from icu_adversarial.attack.record import RecordModel, RecordScaling
from icu_adversarial.attack.tasks import Task, Victim, model_input
from icu_adversarial.attack.verify import run_task
from icu_adversarial.config.params import load_params
from icu_adversarial.core import paths
from icu_adversarial.core.schemas import (
    COHORT,
    EDITS,
    EVENTS,
    PERTURBATIONS,
    read_table,
    write_batches,
    write_table,
)
from icu_adversarial.extract.sources import challenge2012, mimic3
from icu_adversarial.features.grid import grid_from_events, grids
from icu_adversarial.features.scaling import fit_scaler
from icu_adversarial.measurements import SETS, choose
from icu_adversarial.records.cells import edits_of_cells
from icu_adversarial.records.recorded import Records

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
MEASUREMENTS = choose(SETS["literature"])


class Seen(nn.Module):
    """A network that keeps what it reads."""

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        return x[:, 0, :2]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["linear", "previous", "none"]),
    st.sampled_from(["both", "forward", "backward"]),
    st.sampled_from(["before_gaps", "after_gaps"]),
    st.integers(1, 2),
    st.integers(0, 2**32 - 1),
)
def test_the_operator_is_what_preprocessing_makes_of_the_edited_record(
    interpolation: str, direction: str, winsorise: str, models: int, seed: int
) -> None:
    names, rng = ("ph", "heartrate", "urine", "mechvent"), np.random.default_rng(seed)
    low, high = np.array([6.9, 40, 0, 0]), np.array([7.7, 160, 500, 1])
    grid = rng.uniform(low, high, (6, 9, 4)).astype(np.float32)
    grid[..., 3] = grid[..., 3].round()
    grid[rng.random(grid.shape) < 0.6] = np.nan
    scalers = [
        fit_scaler(
            grid[k:],
            names,
            interpolation=interpolation,
            limit_direction=direction,
            lower_percentile=10,
            upper_percentile=80,
            winsorise=winsorise,
            extra_channels=("observed", "hours_since_observed"),
        )
        for k in range(models)
    ]
    scaling, networks = RecordScaling(scalers), [Seen() for _ in scalers]
    model = RecordModel(networks, scaling)
    task = Task(0, Victim(model, scaling), pd.DataFrame(), grid, np.zeros(6, np.int64))
    x, _, lower, upper = model_input(task)
    assert not (lower < upper)[..., 3].any()  # a part of a binary value is no record
    assert ((lower < upper).numpy() <= np.isfinite(grid)).all()
    share = torch.from_numpy(rng.random(grid.shape).astype(np.float32))
    values = torch.where(lower < upper, lower + share * (upper - lower), x[..., :4])
    model(torch.cat([values, x[..., 4:]], 2))
    delta = (values - x[..., :4]).numpy()
    for network, scaler in zip(networks, scalers, strict=True):
        expected = scaler.apply(scaling.edited(grid, delta)).copy()
        np.nan_to_num(expected, copy=False)
        np.testing.assert_allclose(network.x.nan_to_num(), expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_edits_of_values_make_the_edited_cells(seed: int) -> None:
    rng, names, hours = np.random.default_rng(seed), ("heartrate", "urine", "fio2"), range(0, 12, 2)
    events = 60
    stay, column = rng.integers(0, 3, events), rng.integers(0, 3, events)
    order = np.lexsort((hour := rng.uniform(0, 12, events).astype(np.float32), column, stay))
    stay, column, hour = stay[order], column[order], hour[order]
    low, high = np.array([30, 0, 0.21])[column], np.array([180, 900, 1.0])[column]
    value = rng.uniform(low, high).astype(np.float32)
    starts = np.searchsorted(stay * 3 + column, np.arange(10))
    records = Records(stay, column, hour, value, starts, hours, names)

    def grid_of(values: np.ndarray) -> np.ndarray:
        order = np.lexsort((hour, stay))
        parts = (part[order] for part in (stay, hour, column, values))
        return grid_from_events(*parts, 3, hours, names)

    grid = grid_of(value)
    cells = np.argwhere(np.isfinite(grid))
    cells = cells[rng.random(len(cells)) < 0.5]
    row, bin_, j = cells.T
    ends = np.array([[31, 250], [1, 1500], [0.22, 0.95]])
    edited = rng.uniform(*ends[j].T)
    edits = edits_of_cells(records, row, bin_, j, edited)
    assert edits["event"].is_unique
    moved = value.astype(np.float64)
    moved[edits["event"]] = edits["edited"]
    expected = grid.copy()
    expected[tuple(cells.T)] = edited
    np.testing.assert_allclose(grid_of(moved), expected, rtol=1e-5)


def test_every_example_flips_after_the_raw_files_of_the_challenge_are_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, challenge: Path
) -> None:
    raw, members = tmp_path / "raw", 100
    shutil.unpack_archive(challenge / "set-a.tar.gz", tmp_path / "all")
    (raw / "set-a").mkdir(parents=True)
    for file in sorted((tmp_path / "all").rglob("*.txt"))[:members]:
        shutil.copy(file, raw / "set-a")
    kept = {int(file.stem) for file in (raw / "set-a").iterdir()}
    outcomes = pd.read_csv(challenge / "Outcomes-a.txt")
    outcomes[outcomes["RecordID"].isin(kept)].to_csv(raw / "Outcomes-a.txt", index=False)
    flipped = _flipped_again(tmp_path, monkeypatch, raw, challenge2012.read, edit_challenge)
    assert flipped >= 0.9 * members


def test_every_example_flips_after_the_raw_tables_of_mimic3_are_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mimic_demo: Path
) -> None:
    raw = to_csv(mimic_demo, MIMIC3, tmp_path / "raw")
    keep_chartevents(raw)
    assert _flipped_again(tmp_path, monkeypatch, raw, mimic3.read, edit_mimic3) >= 100


def _flipped_again(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    raw: Path,
    read: Callable[..., tuple[object, ...]],
    edit: Callable[[Path, pd.DataFrame], int],
) -> int:
    """Attack all stays, edit their raw files, read them again. Returns the flipped stays.

    Every one of them must flip, and every edit must be found in the raw files.
    """
    monkeypatch.chdir(folder)
    stays, events, *_ = read(raw, 48, MEASUREMENTS)
    write_batches(paths.EVENTS, events, EVENTS)
    stay_id = stays["stay_id"].to_numpy()

    def read_grid(batches: object) -> np.ndarray:
        parts = grids(batches, stay_id, range(48), NAMES)
        return np.concatenate([part for _, part in parts])

    table = pa.Table.from_pandas(read_table(paths.EVENTS, EVENTS), EVENTS, preserve_index=False)
    grid = read_grid(table.to_batches())
    options = PARAMS.features.model_dump() | {"extra_channels": ("observed",)}
    scaler = fit_scaler(grid, NAMES, **options)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(48 * M * 2, 32), nn.Tanh(), nn.Linear(32, 2)
    ).requires_grad_(requires_grad=False)
    x = torch.from_numpy(scaler.apply(grid))
    network[-1].bias -= network(x).mean(0)
    before = network(x).argmax(1).numpy()
    cohort = stays.assign(died=False, is_test=False, fold=0, weight=np.nan, height=np.nan)
    write_table(paths.COHORT, cohort.astype({"fold": "int8"}), COHORT)
    paths.GRID.parent.mkdir(parents=True, exist_ok=True)
    np.save(paths.GRID, grid)
    scaling = RecordScaling([scaler])
    victim = Victim(RecordModel([network], scaling), scaling)
    task = Task(0, victim, cohort, grid, before.astype(np.int64))

    def attack(*sample: Tensor, **box: Tensor) -> object:
        return l0(*sample, **box, iterations=60, candidates=8, starts=1)

    found = run_task(task, attack)
    best = found.examples[found.examples["kind"] == "best"]
    target = paths.ATTACK / "robust_l0"
    target.mkdir(parents=True)
    cells = perturbations_table(found, 1, NAMES)
    write_table(target / "perturbations.parquet", cells, PERTURBATIONS)
    write_edits(target, "record", range(48), NAMES)
    edits = read_table(target / "edits.parquet", EDITS)
    edits = edits[edits["kind"] == "best"]
    assert set(edits["stay_id"]) == set(best["stay_id"][best["success"]])
    assert edit(raw, edits) >= len(edits)
    _, events, *_ = read(raw, 48, MEASUREMENTS)
    after = network(torch.from_numpy(scaler.apply(read_grid(events)))).argmax(1).numpy()
    success = best["success"].to_numpy()
    assert (after[success] != before[success]).all()
    assert (after[~success] == before[~success]).all()
    return int(success.sum())
