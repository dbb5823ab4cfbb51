"""What every stage of dvc.yaml calls: `python src/run.py STAGE`, with the code of this very checkout."""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(
        variable, "1"
    )  # one thread per process, processes side by side: faster, and the same bytes on any machine

from icu_adversarial.cli import main  # noqa: E402

main()
