"""Where every stage reads and writes, relative to the repository's root.

dvc.yaml says the same; a test compares them.
"""

import os
from pathlib import Path

from filelock import FileLock

SYNTHETIC = Path("data/raw/synthetic")
STAYS = Path("data/extract/stays.parquet")
EVENTS = Path("data/extract/events.parquet")
EXCLUDED = Path("data/extract/excluded.json")  # ICU stays that extract leaves out, by reason
GRID = Path("data/preprocess/grid.npy")
COHORT = Path("data/preprocess/stays.parquet")
TUNE_MODEL = Path("data/tune_model")  # best.json, trials.parquet
MODELS = Path("data/train/models")  # fold_K/: model.safetensors, model.json, scaler.json
PREDICTIONS = Path("data/train/predictions.parquet")
COMPARE = Path("data/compare")  # ROW/: models/fold_K/ as MODELS, predictions.parquet
TUNE_ATTACK = Path("data/tune_attack")  # OBJECTIVE/: best.json, trials.parquet
ATTACK = Path("data/attack")  # OBJECTIVE/: examples.parquet, perturbations.parquet
ANALYZE = Path("data/analyze")  # OBJECTIVE/: patients.csv, the only figure with patients' values
METRICS = Path(
    "metrics"
)  # STAGE/, STAGE/OBJECTIVE/ or STAGE/ROW/: metrics.json (in Git) and plots/ (cached)


_held: list[FileLock] = []  # until this process ends


def state(stage: str, key: str) -> Path:
    """Take the folder for what must survive a failed or killed run.

    It lies below DVC_ROOT, which DVC sets to the main repository even in a copied checkout. It
    belongs to this process until the process ends: another process that asks for the same folder,
    as one of `dvc queue start --jobs 2`, waits, and then goes on from what it finds.

    Args:
        stage: The stage that uses it.
        key: What the work depends on (search.study.study_key).

    Returns:
        The folder, which need not exist yet. A file that lay in its place is discarded.
    """
    from icu_adversarial.files import clear_way, discard  # not above: it imports pandas

    root = Path(os.environ.get("DVC_ROOT", ".")) / ".state"
    folder, lock_file = root / stage / key, root / "locks" / f"{stage}_{key}"
    clear_way(lock_file.parent)
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    if lock_file.is_dir():
        discard(lock_file, "is a folder")
    lock = FileLock(lock_file, is_singleton=True)
    lock.acquire()
    _held.append(lock)
    clear_way(folder)
    return folder
