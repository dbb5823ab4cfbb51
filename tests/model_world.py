"""A small cohort in which the dead are ill, and networks small enough to train in a test."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from literature_set import NAMES, M
from ruamel.yaml import YAML

from icu_adversarial.config.features import Features
from icu_adversarial.config.model import Model
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.schemas import COHORT, write_table
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.model import fold_data
from icu_adversarial.model.fold_data import Fold

ROOT = Path(__file__).parents[1]
N, T = 240, 8
FEATURES = Features(
    interpolation="linear",
    limit_direction="both",
    lower_percentile=5,
    upper_percentile=95,
    winsorise="before_gaps",
)
MODEL = Model.model_validate({
    "architecture": "lstm", "extra_channels": ("observed",), "static_inputs": (), "conv": 0, "n_lstm": 8, "n_summary": 0,
    "readout_activation": "tanh", "dropout": 0.2, "measurement_dropout": 0.0, "n_fc": 8, "fc_activation": "relu", "optimizer": "adam",
    "learning_rate": 0.01, "weight_decay": 0.0, "batch_size": 32, "sampling": "balanced", "schedule": "constant",
    "max_gradient": None, "keep": "best",
})  # fmt: skip
EXTRAS = {
    "extra_channels": ("observed", "hours_since_observed"),
    "static_inputs": ("age", "sex", "icu_type"),
}
VARIANTS = {  # of MODEL: every architecture, and what there is to choose
    "lstm": {},
    "conv": {"conv": 6, "n_fc": 0, "static_inputs": ("sex",)},
    "pooled_lstm": {
        "architecture": "pooled_lstm",
        "sampling": "natural",
        "schedule": "one_cycle",
        "max_gradient": 0.5,
        "keep": "last",
        "measurement_dropout": 0.3,
        **EXTRAS,
    },
    "pooled_conv": {"architecture": "pooled_lstm", "conv": 6, "n_fc": 0},
    "summaries": {"architecture": "pooled_lstm", "n_summary": 8} | EXTRAS,
    "gru_d": {"architecture": "gru_d", "weight_decay": 0.1} | EXTRAS,
}


def make_cohort(seed: int = 0, stays: int = N) -> tuple[pd.DataFrame, np.ndarray]:
    """tables.COHORT of one stay per subject, in 3 folds and a test set, a quarter of them deaths; lactate and heart rate are higher in those who
    die. With the grid (N, T, M)."""
    rng = np.random.default_rng(seed)
    died = rng.random(stays) < 0.25
    grid = rng.normal(100, 10, (stays, T, M)).astype(np.float32)
    grid[:, :, [4, 13]] += 12 * died[:, None, None]
    grid[rng.random(grid.shape) < 0.4] = np.nan
    fold = (np.arange(stays) % 4 - 1).astype(np.int8)
    cohort = pd.DataFrame(
        {
            "stay_id": np.arange(stays),
            "subject_id": np.arange(stays),
            "died": died,
            "fold": fold,
            "is_test": fold < 0,
        }
    )
    return cohort.assign(
        age=rng.uniform(20, 90, stays).astype(np.float32),
        sex=rng.choice(["F", "M"], stays),
        icu_type=rng.choice(["CCU", "MICU"], stays),
        weight=rng.normal(80, 10, stays).astype(np.float32),
        height=np.float32(np.nan),
        source_group="tiny",
    ), grid


def make_folds(
    cohort: pd.DataFrame, grid: np.ndarray, model: Model = MODEL
) -> tuple[list[Fold], list[Scaler]]:
    return fold_data.make_folds(grid, NAMES, cohort, FEATURES, model)


def lay(cohort: pd.DataFrame, grid: np.ndarray) -> None:
    """What preprocess would have written, in the current folder."""
    write_table(paths.COHORT, cohort, COHORT)
    np.save(paths.GRID, grid)


def small(params: Params, **changes: dict[str, Any]) -> Params:
    """params with T hours, three folds and little to train, and keys of some blocks changed."""
    content = params.model_dump() | {"window_hours": T}
    content["split"]["folds"] = 3
    content["model"] |= {
        "n_lstm": 8,
        "n_summary": 8,
        "n_fc": 16,
        "batch_size": 32,
        "learning_rate": 0.01,
    }
    content["tune_model"] |= {"trials": 3, "folds": 2, "rounds": 2, "epochs_per_round": 1}
    content["tune_model"]["space"] |= {"log2_n_lstm": {"low": 2, "high": 3}, "n_fc": [4, 8, 16]}
    content["baselines"]["first"]["gradient_boosting"] |= {
        "max_iter": 20,
        "learning_rate": 0.2,
        "min_samples_leaf": 10,
    }
    content["baselines"]["space"]["gradient_boosting"] |= {
        "max_iter": {"low": 5, "high": 20},
        "learning_rate": {"low": 0.1, "high": 0.3},
        "min_samples_leaf": {"low": 5, "high": 20},
    }
    content["train"] |= {"epochs": 4, "evaluate_every": 2}
    content["evaluate"] |= {"bootstrap": 20}
    content["literature"]["train"] |= {"epochs": 3}
    for block, keys in changes.items():
        content[block] |= keys
    return Params.model_validate(content)


def lay_repository() -> None:
    """The code of the repository, in the current folder."""
    shutil.copytree(ROOT / "src", "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "code_maps", "code_maps")


def write_params(params: Params) -> None:
    """params.yaml with the tune_model of `small`, in the current folder."""
    chosen = params.model_dump(mode="json")
    content: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
    for block in ("window_hours", "split"):
        content[block] = chosen[block]
    for key in ("trials", "folds", "rounds", "epochs_per_round"):
        content["tune_model"][key] = chosen["tune_model"][key]
    content["tune_model"]["first"] |= {"n_lstm": 8, "batch_size": 32}
    content["tune_model"]["space"]["log2_n_lstm"] = {"low": 2, "high": 3}
    YAML(typ="safe").dump(content, Path("params.yaml"))
