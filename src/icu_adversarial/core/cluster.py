"""Run the calls of `parallel.workers` on a Dask cluster.

`parallel` imports this module only if the environment variable ICU_CLUSTER is set, to the address
of a scheduler (tcp://HOST:PORT) or the path of its scheduler file.

Large arrays do not travel. They are stored once in `.state/cluster`, on a file system that all
machines share, and a call gets their paths.
"""

import atexit
import logging
import os
import shutil
import socket
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from distributed import Client, KilledWorker, get_worker

from icu_adversarial.core.cpu import CODE_PATHS, ONE_THREAD
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import is_running
from icu_adversarial.core.resume import work_key

VARIABLE = "ICU_CLUSTER"
LARGE = 100_000  # bytes of an array that is stored; smaller ones travel
AHEAD = 2  # calls for each worker that are sent before a result is awaited
LOGGER = logging.getLogger(__name__)
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]  # what joblib.delayed makes


class Stored(NamedTuple):
    """Takes the place of a large array in the arguments of a call. path: its file."""

    path: str


class Cluster:
    """Calls functions on the cluster. It is called as joblib.Parallel is."""

    def __init__(self, return_as: str = "list") -> None:
        self.client, self.return_as = _client(os.environ[VARIABLE]), return_as

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the cluster as it is: others may use it, too."""

    def __call__(self, calls: Iterable[Call]) -> Any:
        """Return the results in the order of the calls: a list, or a generator."""
        results = self._results(calls)
        return results if self.return_as == "generator" else list(results)

    def workers(self) -> int:
        """Count the workers; 1 before the first one has joined."""
        return max(len(self.client.nthreads()), 1)

    def _results(self, calls: Iterable[Call]) -> Iterator[Any]:
        if not self.client.nthreads():
            LOGGER.info("waiting for a worker of the Dask cluster")
        waiting: deque[Any] = deque()
        try:
            for function, arguments, options in calls:
                packed = stored([arguments, options])
                future = self.client.submit(_run, function, packed, _facts(), pure=False)
                waiting.append((future, arguments, options))  # their arrays must live on
                while len(waiting) >= AHEAD * self.workers():
                    yield self._result(waiting)
            while waiting:
                yield self._result(waiting)
        finally:
            self.client.cancel([future for future, *_ in waiting])

    def _result(self, waiting: deque[Any]) -> Any:
        """The result of the first call that is waiting. Dask repeats those of a lost worker."""
        first = waiting[0]  # holds the arrays until the result is here
        try:
            result = first[0].result()
            waiting.popleft()
            return result
        except KilledWorker:
            raise InputError(
                f"{VARIABLE}: several workers ended while they ran the same call: give each of "
                "them more memory"
            ) from None
        except RuntimeError as error:
            if "deserialization of the task graph" not in str(error):
                raise
            raise InputError(
                f"{VARIABLE}: the scheduler does not find this package: start it with "
                "PYTHONPATH=src from the same checkout"
            ) from None


@cache
def _client(address: str) -> Client:
    """Connect this process to the cluster."""
    place = {"address": address} if "://" in address else {"scheduler_file": address}
    if "scheduler_file" in place and not Path(address).is_file():
        raise InputError(
            f"{VARIABLE}: there is no scheduler file {address}: start a scheduler, or name its "
            "address tcp://HOST:PORT"
        )
    try:
        client = Client(**place, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{VARIABLE}: no scheduler answers at {address} ({error})") from None
    atexit.register(client.close)
    return client


def stored(value: Any) -> Any:
    """Replace every large array in tuples, lists and dictionaries by a `Stored`."""
    if isinstance(value, np.ndarray) and value.nbytes >= LARGE and value.dtype != object:
        return Stored(str(_file_of(value)))
    return _each(value, stored)


def loaded(value: Any) -> Any:
    """Replace every `Stored` by its array. Workers on one machine share its memory."""
    if isinstance(value, Stored):
        return np.load(value.path, mmap_mode="c", allow_pickle=False)
    return _each(value, loaded)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a container with its parts changed. Anything else is returned as it is."""
    if isinstance(value, dict):
        return {key: change(part) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(change, value))
    return type(value)(map(change, value)) if type(value) in (list, tuple) else value


_files: dict[int, tuple[weakref.ref[np.ndarray], Path]] = {}  # by the id of the array


def _file_of(array: np.ndarray) -> Path:
    """The file of an array, which is written once. Arrays must not change while calls run."""
    reference, file = _files.get(id(array), (None, Path()))
    if reference is None or reference() is not array:
        file = _folder() / f"{len(_files)}_{id(array)}.npy"
        np.save(file, array, allow_pickle=False)
        _files[id(array)] = (weakref.ref(array, lambda _: file.unlink(missing_ok=True)), file)
    return file


@cache
def _folder() -> Path:
    """The folder of the arrays of this process. Those of processes that were killed are deleted."""
    root = Path(os.environ.get("DVC_ROOT", "."), ".state", "cluster").resolve()
    for folder in root.glob(f"{socket.gethostname()}_*"):
        if not is_running(folder.name.rpartition("_")[2]):
            shutil.rmtree(folder, ignore_errors=True)
    folder = root / f"{socket.gethostname()}_{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _facts() -> dict[str, str | None]:
    """What must be the same in all processes, so that they compute the same bytes."""
    names = (*ONE_THREAD, *CODE_PATHS)
    return {
        "the code of icu_adversarial": work_key(rooms=("",)),
        **{f"the version of {name}": version(name) for name in ("numpy", "torch")},
        **{f"the variable {name}": os.environ.get(name) for name in names},
    }


def _run(function: Callable[..., Any], packed: Any, facts: dict[str, str | None]) -> Any:
    """Call a function in a worker."""
    start = "start it with `python -m icu_adversarial.tools.dask_worker` from the same checkout"
    differ = [name for name, fact in facts.items() if _facts().get(name) != fact]
    if differ:
        raise InputError(f"{VARIABLE}: a worker differs in {', '.join(differ)}: {start}")
    if get_worker().state.nthreads != 1:
        raise InputError(f"{VARIABLE}: a worker has more than one thread: {start}")
    arguments, options = loaded(packed)
    return function(*arguments, **options)
