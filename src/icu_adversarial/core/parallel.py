"""Run work in several processes.

Each process uses one thread, so results do not depend on the number of processes.
"""

import ctypes
import os
import sys
import warnings
from functools import cache
from typing import Any

import joblib

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


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
    With ICU_CLUSTER, they are the workers of a Dask cluster. Large arrays are shared between the
    processes. They are copied only where they are changed.
    """
    if os.environ.get("ICU_CLUSTER"):
        from icu_adversarial.core.cluster import Cluster

        return Cluster(**options)
    # joblib takes the memory that prepare_worker keeps for a leak, replaces the process and warns.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
    return joblib.Parallel(n_jobs=-1, mmap_mode="c", **options)


def count_processes() -> int:
    """Count the processes of `workers`."""
    if os.environ.get("ICU_CLUSTER"):
        from icu_adversarial.core.cluster import Cluster

        return Cluster().workers()
    return joblib.effective_n_jobs(-1)
