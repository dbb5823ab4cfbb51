"""Where every stage reads and writes, relative to the repository's root.

dvc.yaml says the same; a test compares them.
"""

from pathlib import Path

SYNTHETIC = Path("data/raw/synthetic")
STAYS = Path("data/extract/stays.parquet")
EVENTS = Path("data/extract/events.parquet")
EXCLUDED = Path("data/extract/excluded.json")  # ICU stays that extract leaves out, by reason
GRID = Path("data/preprocess/grid.npy")
COHORT = Path("data/preprocess/stays.parquet")
TUNE_MODEL = Path("data/tune_model")  # best.json, trials.parquet
MODELS = Path("data/train/models")  # fold_K/: model.safetensors, model.json, scaler.json
PREDICTIONS = Path("data/train/predictions.parquet")
LITERATURE = Path("data/literature")  # ROW/: models/fold_K/ as MODELS, predictions.parquet
TUNE_ATTACK = Path("data/tune_attack")  # OBJECTIVE/: best.json, trials.parquet
ATTACK = Path("data/attack")  # OBJECTIVE/: examples.parquet, perturbations.parquet
ANALYZE = Path("data/analyze")  # OBJECTIVE/: patients.csv, the only figure with patients' values
HEADLINES = Path("data/headlines")  # OBJECTIVE.json: what analyze leaves for summarize
SUMMARY = Path("metrics/summary.json")  # what DVC shows as metrics
METRICS = Path(
    "metrics"
)  # STAGE/, STAGE/OBJECTIVE/ or STAGE/ROW/: metrics.json (in Git) and plots/ (cached)
