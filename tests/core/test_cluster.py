"""A real Dask cluster: a scheduler, and workers that are processes of one thread."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from attack_tasks import Scaling, make_grid, make_stays, pick, tables
from literature_set import M
from model_world import MODEL, make_cohort, make_folds, small

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.tasks import Task, Victim
from icu_adversarial.attack.verify import run_tasks
from icu_adversarial.config.params import Params
from icu_adversarial.core import cluster
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.parallel import count_processes, workers
from icu_adversarial.model.folds import train_folds
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.tuning import search_network

ROOT = Path(__file__).parents[2]
SECONDS = 180  # to start a few processes, on a busy machine
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets of Dask


class World:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.file, self.processes = folder / "scheduler.json", []
        module = "distributed.cli.dask_scheduler"
        self.begin(module, "--host", "127.0.0.1", "--port", "0", **variables)
        until(self.file.exists)

    def begin(self, module: str, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, "--scheduler-file", str(self.file)]
        process = subprocess.Popen(
            [*command, *options, "--no-dashboard"],
            env=os.environ | {"PYTHONPATH": f"{ROOT}/src:{ROOT}/tests"} | variables,
            cwd=self.file.parent,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def worker(self, *options: str, **variables: str) -> subprocess.Popen[bytes]:
        module = "icu_adversarial.tools.dask_worker"
        return self.begin(module, "--no-nanny", *options, **variables)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A cluster of two workers. The folder of the arrays is that of this file's tests."""
    folder = tmp_path_factory.mktemp("cluster")
    found = World(folder)
    before = os.environ.get("DVC_ROOT")
    os.environ["DVC_ROOT"] = str(folder)
    for _ in range(2):
        found.worker()
    yield found
    cluster._client(str(found.file)).close()
    cluster._client.cache_clear()
    found.end()
    os.environ.pop("DVC_ROOT")
    if before is not None:
        os.environ["DVC_ROOT"] = before


@pytest.fixture
def on_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("ICU_CLUSTER", str(world.file))
    return world


def test_training_gives_the_same_bytes_though_a_worker_is_killed_and_another_joins_late(
    on_cluster: World, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LARGE", 1000)
    options = params.train.model_copy(update={"epochs": 8, "evaluate_every": 1, "patience": None})
    folds, _ = make_folds(*make_cohort())
    client = cluster.Cluster().client
    until(lambda: len(client.nthreads()) == 2)
    rounds: list[int] = []

    def disturb(states: list[Any]) -> None:
        rounds.append(len(client.nthreads()))
        if len(rounds) == 3:  # within the next round
            threading.Timer(0.03, on_cluster.processes[1].kill).start()
        if len(rounds) == 5:
            on_cluster.worker()
            until(lambda: len(client.nthreads()) == 2)

    train_folds(folds, MODEL, options, tmp_path / "cluster", disturb)
    assert min(rounds) == 1  # a worker was gone for a while
    monkeypatch.delenv("ICU_CLUSTER")
    with joblib.parallel_config("sequential"):
        train_folds(folds, MODEL, options, tmp_path / "here")
    for k in range(3):
        name = f"fold_{k}.safetensors"
        assert (tmp_path / "cluster" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_an_attack_and_a_search_give_the_same_bytes(
    on_cluster: World, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    victim = Victim(build(3 * M, 0, MODEL).eval(), Scaling())
    stays, y = make_stays(np.arange(24)), np.arange(24) % 2
    task = Task(0, victim, stays, make_grid(24), y)
    tasks = [pick(task, list(range(start, start + 8))) for start in (0, 8, 16)]
    attack = partial(METHODS["l1"], iterations=10, restarts=0, supports=0)
    chosen, cohort = small(params), make_cohort(stays=60)

    def both(state: Path) -> tuple[Any, Any]:
        trials = search_network(chosen, *cohort, state)
        return tables(run_tasks(tasks, attack)), [(t.params, t.value) for t in trials]

    until(lambda: count_processes() == 2)
    (examples, cells), trials = both(tmp_path / "cluster")
    monkeypatch.delenv("ICU_CLUSTER")
    with joblib.parallel_config("sequential"):
        (same_examples, same_cells), same_trials = both(tmp_path / "here")
    assert examples.equals(same_examples)
    assert cells.equals(same_cells)
    assert trials == same_trials


def test_large_arrays_travel_as_paths_and_their_files_end_with_them(
    on_cluster: World, tmp_path: Path
) -> None:
    large, tiny = np.arange(50_000.0), np.arange(3)
    packed = cluster.stored([(large, {"a": large, "b": tiny})])
    ((first, named),) = packed
    assert first is not large
    assert isinstance(first, cluster.Stored)
    assert named["a"] == first  # one file
    assert named["b"] is tiny
    ((again, _),) = cluster.loaded(packed)
    np.testing.assert_array_equal(again, large)
    assert Path(first.path).exists()
    del large, again
    assert not Path(first.path).exists()
    with workers() as parallel:
        assert parallel(joblib.delayed(np.sum)(np.full(50_000, i)) for i in range(5)) == [
            i * 50_000 for i in range(5)
        ]


def test_the_folder_of_a_process_that_was_killed_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    root = tmp_path / ".state" / "cluster"
    host = cluster.socket.gethostname()
    for name in (f"{host}_999999999", f"{host}_1", "elsewhere_999999999"):
        (root / name).mkdir(parents=True)
    own = cluster._folder.__wrapped__()
    assert {path.name for path in root.iterdir()} == {f"{host}_1", "elsewhere_999999999", own.name}


def test_a_worker_with_other_settings_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = dict(cluster._facts())
    assert facts["the variable OMP_NUM_THREADS"] == "1"
    monkeypatch.setattr(cluster, "_facts", lambda: facts | {"the version of torch": "1.0"})
    monkeypatch.setenv("ICU_CLUSTER", str(world.file))
    with pytest.raises(InputError, match=r"a worker differs in the version of torch: start it"):
        workers()([joblib.delayed(sum)([1])])


def test_a_scheduler_without_the_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = World(tmp_path, PYTHONPATH="")
    monkeypatch.setenv("ICU_CLUSTER", str(other.file))
    try:
        with pytest.raises(InputError, match=r"the scheduler does not find this package: start it"):
            workers()([joblib.delayed(sum)([1])])
    finally:
        cluster._client(str(other.file)).close()
        other.end()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("no_such_file.json", "there is no scheduler file no_such_file.json: start a scheduler"),
        ("nonsense://a", "no scheduler answers at nonsense://a"),
    ],
)
def test_a_cluster_that_is_not_there(
    place: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICU_CLUSTER", place)
    with pytest.raises(InputError, match=said):
        workers()


def test_dask_is_imported_only_for_a_cluster() -> None:
    code = (
        "import sys; sys.path.insert(0, 'src'); from icu_adversarial.core import parallel; "
        "import icu_adversarial.model.folds; parallel.workers(); "
        "print('distributed' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "ICU_CLUSTER"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
