"""The paths of every stage's inputs and outputs, relative to the repository's root.

dvc.yaml has the same paths. A test compares them.
"""

from pathlib import Path

SYNTHETIC = Path("data/raw/synthetic")
STAYS = Path("data/extract/stays.parquet")
EVENTS = Path("data/extract/events.parquet")
EXCLUDED = Path("data/extract/excluded.json")  # numbers of ICU stays that extract leaves out
GRID = Path("data/preprocess/grid.npy")
COHORT = Path("data/preprocess/stays.parquet")
TUNE_MODEL = Path("data/tune_model")  # best.json, trials.parquet
MODELS = Path("data/train/models")  # fold_K/: model.safetensors, model.json, scaler.json
PREDICTIONS = Path("data/train/predictions.parquet")
LITERATURE = Path("data/literature")  # ROW/: models/fold_K/ as MODELS, predictions.parquet
TUNE_ATTACK = Path("data/tune_attack")  # OBJECTIVE/: best.json, trials.parquet
ATTACK = Path("data/attack")  # OBJECTIVE/: examples.parquet, perturbations.parquet
# OBJECTIVE/: patients.csv, the only table of a figure with values of patients
ANALYZE = Path("data/analyze")
STRESS = Path("data/stress")  # flips.parquet
HEADLINES = Path("data/headlines")  # OBJECTIVE.json: what analyze leaves for summarize
# OBJECTIVE/: what analyze leaves for report. It holds no values of single patients.
FINDINGS = Path("data/findings")
REPORT = Path("metrics/report.html")  # the page that a person opens. Git ignores it
EXPLORER = Path("data/report/explorer.html")  # records of single patients, with their changes
SUMMARY = Path("metrics/summary.json")  # what DVC shows as metrics
# STAGE/, STAGE/OBJECTIVE/ or STAGE/ROW/: metrics.json (in Git) and plots/ (cached)
METRICS = Path("metrics")
