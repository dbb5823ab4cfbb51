"""Choose the instructions of the numerical libraries, before any of them is imported.

Each library picks the fastest code for the processor, and the last digits of a result depend on
this choice. Here every library is set to AVX2, so that a newer processor runs the same code as an
older one. Intel promises the same bits only for its own processors.
"""

import os
import platform

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CODE_PATHS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # LSTM and convolution in torch
    "MKL_CBWR": "AVX2",  # matrix products in torch; COMPATIBLE takes twice as long in an attack
    "OPENBLAS_CORETYPE": "Haswell",  # matrix products in NumPy and SciPy
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # exponentials and sums in NumPy
    "ARROW_USER_SIMD_LEVEL": "AVX2",  # sums in Arrow
}


def fix_code_paths() -> None:
    """Set the environment variables, except those that are set already.

    One thread per process: several processes run next to each other, which is faster, and the
    order of a sum does not depend on the number of cores.
    """
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    if platform.machine().lower() in ("x86_64", "amd64"):
        for name, value in CODE_PATHS.items():
            os.environ.setdefault(name, value)
