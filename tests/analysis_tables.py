"""The tables of small attacks, written by hand, and a folder for the stage analyze and DVC."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from literature_set import NAMES, M

from icu_adversarial.core.io import write_json
from icu_adversarial.core.schemas import (
    COHORT,
    EXAMPLES,
    PERTURBATIONS,
    PREDICTIONS,
    measurement_column,
    to_table,
    write_table,
)
from icu_adversarial.features.scaling import fit_scaler

CAP = 0.5  # of the invented attack
ROOT = Path(__file__).parents[1]
METRICS = (
    "auroc",
    "auprc",
    "f1",
    "challenge_score",
    "precision",
    "recall",
    "accuracy",
    "brier",
    "calibration_error",
)


@dataclass(frozen=True)
class Attack:
    examples: pd.DataFrame
    perturbations: pd.DataFrame
    cohort: pd.DataFrame


Cell = tuple[int, int, float]  # hour, column, delta
Example = tuple[
    int, int, str, str, list[Cell] | None
]  # stay, subject, direction, kind, cells (None: a failure)


def build(rows: list[Example]) -> Attack:
    """The three tables with their schemas' types.

    The iteration is the number of the stay; fold = subject % 2; one unit is 10 clinical units. No
    perturbed cell is observed.
    """
    examples, cells = [], []
    for stay, subject, direction, kind, changed in rows:
        if changed is None:
            examples.append((stay, subject % 2, direction, kind, False, -1, None, None, None, None))
            continue
        sizes = [abs(d) for *_, d in changed]
        examples.append(
            (
                stay,
                subject % 2,
                direction,
                kind,
                True,
                stay,
                len(sizes),
                sum(sizes),
                max(sizes),
                -0.1,
            )
        )
        cells += [
            (stay, kind, hour, column, delta, 10 * delta, False) for hour, column, delta in changed
        ]
    frame = pd.DataFrame(examples, columns=EXAMPLES.names)
    frame = frame.astype({"l0": "Int32", "l1": "float32", "linf": "float32", "margin": "float32"})
    changes = pd.DataFrame(cells, columns=PERTURBATIONS.names)
    codes = changes.pop("measurement").to_numpy(np.int8)
    table = pa.table(
        {
            f.name: measurement_column(codes, NAMES)
            if f.name == "measurement"
            else pa.array(changes[f.name].tolist(), f.type)
            for f in PERTURBATIONS
        },
        PERTURBATIONS,
    )
    people = pd.DataFrame(
        [(stay, subject, d == "1→0") for stay, subject, d, *_ in rows],
        columns=["stay_id", "subject_id", "died"],
    )
    people = people.drop_duplicates("stay_id").assign(
        age=60.0, sex="F", icu_type=None, weight=None, height=None, source_group="a", is_test=False
    )
    people["fold"] = (people.subject_id % 2).astype(np.int8)
    return Attack(
        to_table(frame, EXAMPLES).to_pandas(),
        table.to_pandas(),
        to_table(people, COHORT).to_pandas(),
    )


def nothing_measured(attack: Attack, bins: int = 2) -> np.ndarray:
    """A grid of the cohort without a measured value: (N, bins, M)."""
    return np.full((len(attack.cohort), bins, M), np.nan, np.float32)


def model_metrics() -> dict[str, object]:
    """As the stage evaluate writes them: one metric is not available."""
    scores: dict[str, dict[str, float | None]] = {
        m: {"value": 0.8, "low": 0.75, "high": 0.85} for m in METRICS
    }
    missing = {**scores, "auprc": {"value": None, "low": None, "high": None}}
    return {
        "test": {"network": scores, "logistic_regression": missing, "gradient_boosting": scores},
        "folds": {},
    }


def write_attack(attack: Attack) -> None:
    """What train, evaluate, tune_attack and attack leave for sparse_small, in this folder."""
    write_table(
        Path("data/attack/sparse_small/examples.parquet"),
        to_table(attack.examples, EXAMPLES),
        EXAMPLES,
    )
    changes = attack.perturbations
    codes = pd.Index(NAMES).get_indexer(changes.measurement).astype(np.int8)
    columns = {
        f.name: measurement_column(codes, NAMES)
        if f.name == "measurement"
        else pa.array(changes[f.name], f.type)
        for f in PERTURBATIONS
    }
    write_table(
        Path("data/attack/sparse_small/perturbations.parquet"),
        pa.table(columns, PERTURBATIONS),
        PERTURBATIONS,
    )
    write_json(Path("metrics/evaluate/metrics.json"), model_metrics())
    write_predictions(attack.cohort)
    best = {"trial": 0, "value": 1.0, "hyperparameters": {"cap": CAP, "patience": 4}}
    write_json(Path("data/tune_attack/sparse_small/best.json"), best)


def lay(attack: Attack, hours: int) -> None:
    """The stage's inputs for the objective sparse_small, and our DVC templates.

    They lie in the current folder. Half of the cells are observed.
    """
    write_attack(attack)
    write_table(Path("data/preprocess/stays.parquet"), attack.cohort, COHORT)
    rng = np.random.default_rng(0)
    grid = rng.normal(100, 10, (len(attack.cohort), hours, M)).astype(np.float32)
    grid[rng.random(grid.shape) < 0.5] = np.nan
    np.save("data/preprocess/grid.npy", grid)
    for fold in range(2):
        scaler = fit_scaler(
            grid,
            NAMES,
            interpolation="linear",
            limit_direction="both",
            lower_percentile=5,
            upper_percentile=95,
            extra_channels=(),
        )
        Path(f"data/train/models/fold_{fold}").mkdir(parents=True)
        scaler.save(Path(f"data/train/models/fold_{fold}/scaler.json"))
    shutil.copytree(ROOT / ".dvc" / "plots", ".dvc/plots")


def write_predictions(cohort: pd.DataFrame) -> None:
    """Predictions of every stay, all of them correct: survivors have a risk of 0.03, others 0.6."""
    found = cohort[["stay_id", "fold", "died"]].assign(
        split="oof",
        probability=cohort.died.map({False: 0.03, True: 0.6}),
        logit_0=0.0,
        logit_1=cohort.died.map({False: -1.0, True: 1.0}),
        predicted=cohort.died,
    )
    write_table(Path("data/train/predictions.parquet"), to_table(found, PREDICTIONS), PREDICTIONS)
