"""How a worker process is set up. Work runs in single-thread processes side by side (joblib), so results do not depend on their number."""

import ctypes
import sys
import warnings
from functools import cache
from typing import Any

import joblib

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@cache
def prepare_worker() -> None:
    """One torch thread; on Linux, freed memory stays with the process (an LSTM's buffers otherwise go back and forth: 1.4 x the time)."""
    import torch

    torch.set_num_threads(1)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # glibc; musl has none
            libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def workers(**options: Any) -> joblib.Parallel:
    """Processes on all cores (LOKY_MAX_CPU_COUNT limits them); large arrays are shared between them, copied only where written."""
    # prepare_worker lets a process keep its memory; joblib takes that for a leak, replaces the process and warns
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
    return joblib.Parallel(n_jobs=-1, mmap_mode="c", **options)
