"""Run work in several processes.

Each process uses one thread, so results do not depend on the number of processes.
"""

import ctypes
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import joblib

from icu_adversarial.core.io import is_running

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
SECONDS = 1.0  # between two looks at the parent


@cache
def prepare_worker() -> None:
    """Set torch to one thread, and let the process keep freed memory.

    Without the latter, Linux takes the buffers of an LSTM back and gives them again, which makes
    training 1.4 times as long.
    """
    import torch

    torch.set_num_threads(1)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # glibc has it, musl does not
            libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def workers(**options: Any) -> Any:
    """A pool of processes, to be called as joblib.Parallel is.

    The processes are on all cores of this machine, and LOKY_MAX_CPU_COUNT limits their number.
    They end with this one, however it ends. With ICU_CLUSTER, they are the workers of a Dask
    cluster. Large arrays are shared between the processes. They are copied only where they are
    changed.
    """
    if os.environ.get("ICU_CLUSTER"):
        from icu_adversarial.core.cluster import Cluster

        return Cluster(**options)
    _remove_left()
    # joblib takes the memory that prepare_worker keeps for a leak, replaces the process and warns.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
    ending = {"initializer": end_with, "initargs": (os.getpid(),)}
    return joblib.Parallel(n_jobs=-1, mmap_mode="c", **ending, **options)


def count_processes() -> int:
    """Count the processes of `workers`."""
    if os.environ.get("ICU_CLUSTER"):
        from icu_adversarial.core.cluster import Cluster

        return Cluster().workers()
    return joblib.effective_n_jobs(-1)


def end_with(parent: int) -> None:
    """Let this worker process end within a second after its parent.

    joblib ends its workers when its own process ends, but not after SIGKILL. Each worker then keeps
    its memory for five minutes.

    Args:
        parent: The number of the process that started this one.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _remove_left() -> None:
    """Delete the shared arrays of processes that were killed together with all their helpers."""
    for root in {Path("/dev/shm"), Path(tempfile.gettempdir())}:
        for folder in root.glob("joblib_memmapping_folder_*"):
            if not is_running(folder.name.split("_")[3]):
                shutil.rmtree(folder, ignore_errors=True)
