"""The models that are asked about edited records: the network and the baselines of each fold."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from icu_adversarial.core import paths
from icu_adversarial.core.io import read_json
from icu_adversarial.evaluate.baseline_inputs import summaries
from icu_adversarial.evaluate.baselines import BASELINES, fit
from icu_adversarial.features.scaling import read_scaler
from icu_adversarial.features.statics import fit_statics
from icu_adversarial.model.calibration import Calibration, fit_by_fold
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.scores import best_threshold

NETWORK = "network"
ROWS = 128  # stays of one pass of the network


class RiskModel(NamedTuple):
    """A model of one fold, with its calibration and its alarm.

    Attributes:
        name: Its name.
        raw: The log odds of a grid (n, T, M) in clinical units, NaN = not observed, and the n rows
            of schemas.COHORT.
        calibration: From these to calibrated log odds of death.
        cut: Raw log odds above which the alarm is on.
        seen: What of a grid the model can tell apart, as a grid.
    """

    name: str
    raw: Callable[[np.ndarray, pd.DataFrame], np.ndarray]
    calibration: Calibration
    cut: float
    seen: Callable[[np.ndarray], np.ndarray] = lambda grid: grid

    def log_odds(self, grid: np.ndarray, stays: pd.DataFrame) -> np.ndarray:
        """The calibrated log odds of death, float64 (n,)."""
        return self.raw(grid, stays) * self.calibration.slope + self.calibration.shift

    @property
    def threshold(self) -> float:
        """Calibrated log odds above which the alarm is on."""
        return self.cut * self.calibration.slope + self.calibration.shift


def models_of_folds(
    cohort: pd.DataFrame,
    grid: np.ndarray,
    predictions: pd.DataFrame,
    names: Sequence[str],
    settings: Mapping[str, dict[str, Any]],
    seed: int,
) -> dict[str, dict[int, RiskModel]]:
    """Read the networks and train the baselines again, with the settings that evaluate chose.

    Args:
        cohort: schemas.COHORT.
        grid: (N, T, M) in clinical units, NaN = not observed.
        predictions: schemas.PREDICTIONS.
        names: The measurements, M.
        settings: The settings of each of BASELINES.
        seed: `evaluate.seed` of params.yaml.

    Returns:
        For each model its members by fold. The member of a fold never saw the stays of the fold.
    """
    fold, died = cohort["fold"].to_numpy(), cohort["died"].to_numpy()
    found: dict[str, dict[int, RiskModel]] = {}
    folds = sorted(set(fold[fold >= 0]))
    z = (predictions["logit_1"] - predictions["logit_0"]).to_numpy(np.float64)
    calibrations = fit_by_fold(z, died, fold)
    found[NETWORK] = {k: _network(k, names, calibrations[k]) for k in folds}
    about = read_json(paths.MODELS / f"fold_{folds[0]}" / "model.json")
    inputs = about["model"]["static_inputs"]
    x = summaries(grid)
    for name in BASELINES:
        raw, log_odds = {}, np.zeros(len(cohort))
        for k in folds:
            learn = (fold >= 0) & (fold != k)
            raw[k] = _baseline(name, settings[name], x, cohort, learn, inputs, seed)
            log_odds[fold == k] = raw[k](grid[fold == k], cohort[fold == k])
        cut = best_threshold(died[fold >= 0], log_odds[fold >= 0])
        calibrations = fit_by_fold(log_odds, died, fold)
        found[name] = {k: RiskModel(name, raw[k], calibrations[k], cut) for k in folds}
    return found


def _network(fold: int, names: Sequence[str], calibration: Calibration) -> RiskModel:
    """The network of a fold. Its decision is at 0."""
    folder = paths.MODELS / f"fold_{fold}"
    scaler, network = read_scaler(folder / "scaler.json", names), load_model(folder).eval()

    @torch.inference_mode()
    def log_odds(grid: np.ndarray, stays: pd.DataFrame) -> np.ndarray:
        parts = [np.empty(0)]
        for first in range(0, len(grid), ROWS):
            rows = slice(first, first + ROWS)
            z = network(torch.from_numpy(scaler.apply(grid[rows], stays[rows]))).double()
            parts.append((z[:, 1] - z[:, 0]).numpy())
        return np.concatenate(parts)

    def seen(grid: np.ndarray) -> np.ndarray:
        return np.clip(grid, scaler.lower, scaler.upper)

    # values beyond the limits of the network are all the same to it, if they are limited first
    first = scaler.winsorise == "before_gaps"
    return RiskModel(NETWORK, log_odds, calibration, 0.0, *([seen] if first else []))


def _baseline(
    name: str,
    settings: dict[str, Any],
    x: np.ndarray,
    cohort: pd.DataFrame,
    learn: np.ndarray,
    static_inputs: Sequence[str],
    seed: int,
) -> Callable[[np.ndarray, pd.DataFrame], np.ndarray]:
    """A baseline that learned from some stays. x: the summaries of all stays."""
    statics = fit_statics(cohort[learn], static_inputs)
    own = np.concatenate([x, statics.apply(cohort)], axis=1)
    model = fit(name, settings, own, cohort["died"].to_numpy(), learn, seed)
    return lambda grid, stays: model(
        np.concatenate([summaries(grid), statics.apply(stays)], axis=1)
    )
