"""A checkpoint per task: what a run that is cut off or finds damage does again, in which order the
tables come out, and how much of them is held at once."""

import re
import shutil
import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attack_models import Recurrent
from attack_tasks import FIRST, make_task, one_process, pick, tables
from damage import KINDS, damage, flipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from literature_set import NAMES, M

from icu_adversarial.attack import checkpoints
from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.checkpoints import Checkpoint, attack_cohort, in_order
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.attack.tasks import Task, Victim, split_by_fold
from icu_adversarial.attack.verify import run_task
from icu_adversarial.core.log import logged
from icu_adversarial.core.schemas import EXAMPLES, PERTURBATIONS, measurement_column, write_table

ATTACK = partial(l1, iterations=20, restarts=0, supports=0)


@pytest.fixture(autouse=True)
def _one_process() -> Iterator[None]:
    with one_process():
        yield


def make_cohort(n: int) -> tuple[pd.DataFrame, Task]:
    """Stays of two folds by turns, as `choose_stays` gives them, and one task with all of them."""
    task = make_task(n, Recurrent(3 * M, 8))
    task = task._replace(victim=Victim(for_attack(task.victim.model), task.victim.scaler))
    return pd.DataFrame({"stay_id": task.stay_id, "fold": task.stay_id % 2, "y": task.y}), task


def bytes_of(found: list[Checkpoint]) -> list[bytes]:
    return [file.read_bytes() for checkpoint in found for file in checkpoint.tables]


def tasks_of(task: Task, members: pd.DataFrame) -> Iterable[Task]:
    """The task of `members`, stays of one fold."""
    return [
        pick(task, (members["stay_id"] - FIRST).tolist())._replace(
            fold=int(members["fold"].iloc[0])
        )
    ]


# what is attacked, and what not again


def test_a_run_that_is_cut_off_goes_on_with_the_tasks_that_it_had_not_stored(
    tmp_path: Path,
) -> None:
    chosen, task = make_cohort(38)
    begun: list[list[int]] = []

    def tasks(members: pd.DataFrame) -> Iterable[Task]:
        if len(begun) == stop:
            raise KeyboardInterrupt
        begun.append(members["stay_id"].tolist())
        return tasks_of(task, members)

    stop = 99
    undisturbed = bytes_of(attack_cohort(chosen, tasks, ATTACK, 1, tmp_path / "once", size=5))
    assert [len(stays) for stays in begun] == [5, 5, 5, 4] * 2
    assert [stays[0] for stays in begun] == [100, 110, 120, 130, 101, 111, 121, 131]
    begun, stop = [], 3
    with pytest.raises(KeyboardInterrupt):
        attack_cohort(chosen, tasks, ATTACK, 1, tmp_path / "twice", size=5)
    kept = {file.name for file in (tmp_path / "twice").iterdir()}
    half = tmp_path / "twice" / "task_0_100_5.sha256"
    half.unlink()  # killed before the last file of this checkpoint
    begun, stop = [], 99
    found = attack_cohort(chosen, tasks, ATTACK, 1, tmp_path / "twice", size=5)
    again = [stays[0] for stays in begun]
    assert again == [
        100,
        *(
            first
            for first, stays in ((110, 5), (120, 5), (130, 4))
            if f"task_0_{first}_{stays}.sha256" not in kept
        ),
        101,
        111,
        121,
        131,
    ]
    assert len(again) < 8
    assert bytes_of(found) == undisturbed
    assert [checkpoint.first for checkpoint in found] == [100, 101, 110, 111, 120, 121, 130, 131]

    begun, stop = [], 0  # all is there: no task is made
    assert (
        bytes_of(attack_cohort(chosen, tasks, ATTACK, 1, tmp_path / "twice", size=5)) == undisturbed
    )


def test_every_task_is_a_line_of_the_log_that_names_no_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen, task = make_cohort(30)
    with logged("attack"):
        attack_cohort(chosen, partial(tasks_of, task), ATTACK, 1, tmp_path / "state", size=5)
    first, *lines, last = (tmp_path / "logs" / "attack.log").read_text().splitlines()
    assert (first[9:], last[9:]) == ("attack: started", "attack: finished")
    done = [5, 10, 15, 20, 25, 30]
    form = r"[\d:]{8} attack: stay (\d+)/30, a task of 5, (\d+)% flipped, [\d:]+ left"
    found = [re.fullmatch(form, line) for line in lines]
    assert [int(match[1]) for match in found if match] == done
    assert all(int(match[2]) >= 80 for match in found if match)


def test_the_tables_are_those_of_all_stays_in_one_task(tmp_path: Path) -> None:
    chosen, task = make_cohort(30)

    def tasks(members: pd.DataFrame) -> Iterable[Task]:
        return [pick(task, (members["stay_id"] - FIRST).tolist())]

    found = attack_cohort(chosen, tasks, ATTACK, 1, tmp_path, size=4)
    whole = tables([run_task(task, ATTACK)])
    assert whole[0].to_pandas()["success"].mean() > 0.9
    for name, schema, expected in zip(
        ("examples", "perturbations"), (EXAMPLES, PERTURBATIONS), whole, strict=True
    ):
        merged = pa.Table.from_batches(in_order(found, name, schema), schema)
        assert merged.equals(expected)


def test_no_stay_makes_no_checkpoint_and_empty_tables(tmp_path: Path) -> None:
    chosen, _ = make_cohort(4)
    assert attack_cohort(chosen[:0], lambda members: [], ATTACK, 1, tmp_path) == []
    assert pa.Table.from_batches(in_order([], "examples", EXAMPLES), EXAMPLES).num_rows == 0


def test_only_a_few_tasks_live_at_once(tmp_path: Path) -> None:
    chosen, task = make_cohort(60)
    living: list[weakref.ref[np.ndarray]] = []
    most = 0

    def tasks(members: pd.DataFrame) -> Iterable[Task]:
        nonlocal most
        made = pick(task, (members["stay_id"] - FIRST).tolist())
        living.append(weakref.ref(made.grid))
        most = max(most, sum(ref() is not None for ref in living))
        return [made]

    attack_cohort(chosen, tasks, partial(l1, iterations=2), 1, tmp_path, size=3)
    assert len(living) == 20
    assert most <= 4


# damage


def others_table(file: Path) -> None:
    """A Parquet file with other columns."""
    pq.write_table(pa.table({"stay_id": [1, 2]}), file)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """The checkpoints of a whole run, and the bytes of its tables."""
    folder = tmp_path_factory.mktemp("stored")
    chosen, task = make_cohort(12)
    with one_process():
        found = attack_cohort(chosen, partial(tasks_of, task), ATTACK, 1, folder, size=3)
    return folder, bytes_of(found)


def begun_again(state: Path, expected: list[bytes]) -> list[int]:
    """Go on from the checkpoints in `state`, to the same bytes; the first stays of the tasks that
    were attacked."""
    chosen, task = make_cohort(12)
    begun: list[int] = []

    def tasks(members: pd.DataFrame) -> Iterable[Task]:
        begun.append(int(members["stay_id"].iloc[0]))
        return tasks_of(task, members)

    assert bytes_of(attack_cohort(chosen, tasks, ATTACK, 1, state, size=3)) == expected
    return begun


@pytest.mark.parametrize("kind", [*KINDS, "other columns", "lost"])
@pytest.mark.parametrize(
    "name", ["examples_0_100_3.parquet", "perturbations_0_100_3.parquet", "task_0_100_3.sha256"]
)
def test_a_damaged_checkpoint_is_told_in_one_line_and_its_task_attacked_again(
    tmp_path: Path,
    stored: tuple[Path, list[bytes]],
    capsys: pytest.CaptureFixture[str],
    name: str,
    kind: str,
) -> None:
    state = tmp_path / "state"
    shutil.copytree(stored[0], state)
    if kind == "lost":
        (state / name).unlink()
    elif kind == "other columns":
        others_table(state / name)
    else:
        damage(state / name, kind)
    capsys.readouterr()
    assert begun_again(state, stored[1]) == [100]
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    if kind == "lost" and name.startswith("task"):  # a kill leaves this: it is no damage
        assert not told
    else:
        assert len(told) == 1
        assert name in told[0]
        assert "done again" in told[0]
    assert begun_again(state, stored[1]) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_any_flipped_bit_of_a_checkpoint_is_noticed(
    tmp_path: Path, stored: tuple[Path, list[bytes]], data: st.DataObject, place: float, bit: int
) -> None:
    names = sorted(file.name for file in stored[0].glob("*_0_*"))
    name = data.draw(st.sampled_from(names))
    state = tmp_path / "flipped"
    shutil.copytree(stored[0], state, dirs_exist_ok=True)
    (state / name).write_bytes(flipped((state / name).read_bytes(), place, bit))
    assert begun_again(state, stored[1]) == [int(name.split("_")[2])]


def test_a_file_in_the_place_of_the_checkpoints_is_told_and_deleted(
    tmp_path: Path, stored: tuple[Path, list[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("not a folder")
    assert len(begun_again(tmp_path / "state", stored[1])) == 4
    assert "state is not a folder" in capsys.readouterr().err


# the order of the tables


def write_checkpoints(
    folder: Path, folds: list[int], size: int, seed: int
) -> tuple[list[Checkpoint], pd.DataFrame]:
    """Stays 0, 3, 6, … of the given folds with random numbers of cells, split as the attack does; and all their cells, in no order."""
    rng = np.random.default_rng(seed)
    chosen = pd.DataFrame({"stay_id": 3 * np.arange(len(folds)), "fold": folds})
    found, everything = [], []
    for fold, members in split_by_fold(chosen, size):
        stay_id = np.sort(rng.choice(members["stay_id"], rng.integers(0, 4 * len(members))))
        n = len(stay_id)
        cells = pd.DataFrame(
            {
                "stay_id": stay_id,
                "measurement": rng.integers(0, M, n),
                "delta": np.arange(n, dtype=np.float32),
            }
        )
        first = int(members["stay_id"].iloc[0])
        found.append(
            Checkpoint(
                first,
                folder / f"examples_{fold}_{first}.parquet",
                folder / f"perturbations_{fold}_{first}.parquet",
                folder / f"task_{fold}_{first}.sha256",
            )
        )
        rest = {
            "kind": "best",
            "hour": np.int8(0),
            "delta_clinical": cells["delta"],
            "observed": True,
        }
        columns = cells.assign(**rest)[PERTURBATIONS.names].to_dict("series") | {
            "measurement": measurement_column(cells["measurement"].to_numpy(), NAMES)
        }
        write_table(found[-1].perturbations, pa.table(columns, schema=PERTURBATIONS), PERTURBATIONS)
        everything.append(cells)
    return sorted(found), pd.concat(everything, ignore_index=True)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-2, 4), min_size=1, max_size=60), st.integers(1, 7), st.integers(0, 99))
def test_the_tasks_of_all_folds_come_out_in_the_order_of_the_stays(
    tmp_path: Path, folds: list[int], size: int, seed: int
) -> None:
    found, cells = write_checkpoints(tmp_path, folds, size, seed)
    expected = cells.sort_values("stay_id", kind="stable", ignore_index=True)
    merged = pa.Table.from_batches(
        in_order(found, "perturbations", PERTURBATIONS), PERTURBATIONS
    ).to_pandas()
    assert merged["stay_id"].tolist() == expected["stay_id"].tolist()
    assert (
        merged["delta"].tolist() == expected["delta"].tolist()
    )  # within a stay as they were stored
    assert merged["measurement"].tolist() == [NAMES[j] for j in expected["measurement"]]


def test_about_a_task_of_each_fold_is_held_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 120 tasks: rows read, less rows handed on before the next task is read."""
    size, n_folds = 5, 3
    folds = np.random.default_rng(0).permutation(np.repeat(np.arange(n_folds), 40 * size)).tolist()
    found, cells = write_checkpoints(tmp_path, folds, size, seed=1)
    task_rows = [pq.read_metadata(checkpoint.perturbations).num_rows for checkpoint in found]
    read, handed_on, held = 0, 0, []

    def counted(
        path: Path, schema: pa.Schema, original: object = checkpoints.read_batches
    ) -> Iterator[pa.RecordBatch]:
        nonlocal read
        for batch in original(path, schema):
            read += batch.num_rows
            held.append(read - handed_on)
            yield batch

    monkeypatch.setattr(checkpoints, "read_batches", counted)
    for batch in in_order(found, "perturbations", PERTURBATIONS):
        handed_on += batch.num_rows
    assert len(found) == 120
    assert read == handed_on == len(cells)
    assert max(held) <= (n_folds + 1) * max(task_rows)
    assert max(held) < len(cells) / 10


def test_a_part_of_another_size_is_not_taken_for_this_one(tmp_path: Path) -> None:
    """A run killed on CPUs that goes on where a GPU takes larger parts: every stay once."""
    chosen, task = make_cohort(38)

    tasks = partial(tasks_of, task)
    undisturbed = bytes_of(attack_cohort(chosen, tasks, ATTACK, 1, tmp_path / "once", size=12))
    attack_cohort(chosen, tasks, ATTACK, 1, tmp_path / "twice", size=5)
    assert (
        bytes_of(attack_cohort(chosen, tasks, ATTACK, 1, tmp_path / "twice", size=12))
        == undisturbed
    )
