"""A tiny cohort whose models are untrained, laid out as the stages before tune_attack leave it, in the current folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from literature_set import NAMES, M
from torch import nn

from icu_adversarial.attack.tasks import Victim
from icu_adversarial.config.params import Params, load_params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json, write_json
from icu_adversarial.core.schemas import (
    COHORT,
    EXAMPLES,
    PERTURBATIONS,
    PREDICTIONS,
    read_table,
    write_table,
)
from icu_adversarial.features.scaling import Scaler, fit_scaler
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.networks.storage import save_model
from icu_adversarial.stages import attack, probe

N, T, FOLDS = 90, 8, 3
OBJECTIVE = "robust_l0"
PARAMS = load_params(Path(__file__).parents[1] / "params.yaml")
INPUTS: dict[str, Any] = {
    "extra_channels": ("observed",),
    "static_inputs": ("age", "sex", "icu_type"),
}
MODEL = PARAMS.literature.model.changed(
    INPUTS | {"n_lstm": 8, "n_fc": 8, "dropout": 0.1, "fc_activation": "tanh"}
)


def make_params(**attack_changes: Any) -> Params:
    content = PARAMS.model_dump()
    content["window_hours"] = T
    content["tune_attack"] |= {
        "trials": 6,
        "max_stays": 40,
        "iterations": 12,
        "pruner_startup_trials": 2,
        "seed": 5,
    }
    content["tune_attack"]["space"]["l0"] |= {"cap": [0.02, 0.2, 1.0]}  # the first two often fail
    content["attack"] |= {"space": "grid", "iterations": 30, "max_stays": None} | attack_changes
    return Params.model_validate(content)


def make_cohort() -> pd.DataFrame:
    """Everything but the outcome. ICU type burns is in fold 0 alone: the scaler of that fold does not know it, those of the others do."""
    rng, stay_id = np.random.default_rng(1), np.arange(1000, 1000 + N)
    fold = np.where(np.arange(N) < 75, np.arange(N) % FOLDS, -1).astype(np.int8)
    cohort = pd.DataFrame(
        {
            "stay_id": stay_id,
            "subject_id": stay_id,
            "is_test": fold < 0,
            "fold": fold,
            "source_group": "tiny",
        }
    )
    icu_type = np.where(
        (fold == 0) & (stay_id % 5 == 0), "burns", rng.choice(["medical", "surgical"], N)
    )
    return cohort.assign(
        age=rng.uniform(20, 90, N).astype(np.float32),
        sex=rng.choice(["F", "M", None], N),
        icu_type=icu_type,
        weight=rng.normal(80, 10, N).astype(np.float32),
        height=np.float32(np.nan),
    )


def make_grid() -> np.ndarray:
    rng = np.random.default_rng(0)
    grid = rng.normal(100, 20, (N, T, M)).astype(np.float32)
    grid[rng.random(grid.shape) < 0.5] = np.nan
    grid[..., 4] = np.nan  # never observed: not perturbable
    return grid


def write_model(folder: Path, learn: np.ndarray, seed: int) -> tuple[nn.Module, Scaler]:
    """An untrained network that calls about half of the stays dead, and a scaler of the stays `learn`, bool (N,)."""
    cohort, grid = make_cohort(), make_grid()
    scaler = fit_scaler(grid[learn], NAMES, cohort[learn], **INPUTS, **PARAMS.features.model_dump())
    torch.manual_seed(seed)
    network = build(scaler.channels, scaler.statics.size, MODEL).eval()
    with torch.no_grad():
        network.output.weight *= 20
        network.output.bias -= network(torch.from_numpy(scaler.apply(grid, cohort))).mean(0)
    save_model(folder, network, scaler.channels, MODEL, {})
    scaler.save(folder / "scaler.json")
    return network, scaler


def write_world(classes: tuple[int, ...] = (0, 1)) -> None:
    """Grid, cohort, one model and scaler per fold, and the predictions of these models. Outcomes are the predictions, but for every tenth stay."""
    cohort, grid = make_cohort(), make_grid()
    fold, z = cohort["fold"].to_numpy(), np.zeros((N, 2), np.float32)
    for k in range(FOLDS):
        network, scaler = write_model(paths.MODELS / f"fold_{k}", (fold >= 0) & (fold != k), seed=k)
        with torch.no_grad():
            logits = network(torch.from_numpy(scaler.apply(grid, cohort))).numpy()
        z += (
            np.where(fold == k, 1, np.where(fold < 0, 1 / FOLDS, 0))[:, None].astype(np.float32)
            * logits
        )
    predicted = z[:, 1] > z[:, 0]
    died = predicted ^ (np.arange(N) % 10 == 0)
    split, probability = np.where(fold < 0, "test", "oof"), np.float32(0.5)
    predictions = cohort[["stay_id", "fold"]].assign(
        split=split, probability=probability, logit_0=z[:, 0], logit_1=z[:, 1]
    )
    kept = np.isin(died, classes)
    write_table(
        paths.PREDICTIONS, predictions.assign(predicted=predicted, died=died)[kept], PREDICTIONS
    )
    write_table(paths.COHORT, cohort.assign(died=died)[kept], COHORT)
    np.save(paths.GRID, grid[kept])


def run_attack(params: Params, objective: str = OBJECTIVE) -> pd.DataFrame:
    """Run the attack alone, with hyperparameters as tune_attack writes them; the examples."""
    write_json(
        paths.TUNE_ATTACK / objective / "best.json",
        {
            "trial": 0,
            "value": 1.0,
            "hyperparameters": {"cap": 1.0, "patience": 2, "candidates": 8, "starts": 1},
        },
    )
    attack.run(params, objective)
    return read_table(paths.ATTACK / objective / "examples.parquet", EXAMPLES)


def run_probe(params: Params, objective: str = OBJECTIVE) -> tuple[dict[str, Any], pd.DataFrame]:
    """Run the attack, then the probe; its metrics and the transfer table."""
    run_attack(params, objective)
    probe.run(params, objective)
    folder = paths.METRICS / "probe" / objective
    return read_json(folder / "metrics.json"), pd.read_csv(folder / "plots" / "transfer.csv")


def logits(victim: Victim, stay_id: int, moved: bool = False) -> torch.Tensor:
    """(2,) of a stay; `moved`: with its stored best example, in clinical units, within the limits of the victim's scaler."""
    cohort = read_table(paths.COHORT, COHORT)
    own = cohort["stay_id"] == stay_id
    x = victim.scaler.apply(np.array(read_array(paths.GRID)[own]), cohort[own])
    if moved:
        cells = read_table(paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS)
        span = np.where(victim.scaler.perturbable, victim.scaler.clinical_span, np.inf)
        for cell in cells[(cells["stay_id"] == stay_id) & (cells["kind"] == "best")].itertuples():
            j = NAMES.index(cell.measurement)
            x[0, cell.hour, j] = np.clip(x[0, cell.hour, j] + cell.delta_clinical / span[j], 0, 1)
    with torch.no_grad():
        return victim.model(torch.from_numpy(x))[0]
