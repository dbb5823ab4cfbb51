"""Dask workers with the code and the processor settings of this checkout.

`PYTHONPATH=src python -m icu_adversarial.tools.dask_worker tcp://HOST:PORT --nworkers 4` takes the
options of `dask worker`. Each worker has one thread, because the random numbers of torch belong to
the process.
"""

import sys

from icu_adversarial.core.cpu import fix_code_paths

fix_code_paths()  # before a library that reads the variables is imported


def main() -> None:
    """Start the workers. They end with their scheduler."""
    from distributed.cli.dask_worker import main as dask_worker

    dask_worker([*sys.argv[1:], "--nthreads", "1"])


if __name__ == "__main__":
    main()
