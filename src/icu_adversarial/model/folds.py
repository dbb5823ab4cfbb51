"""All folds together: trained side by side with checkpoints, saved with their thresholds, and read back to predict."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from tqdm import tqdm

from icu_adversarial.errors import InputError
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.files import read_json
from icu_adversarial.model.calibration import cross_fitted
from icu_adversarial.model.evaluation import best_threshold, sigmoid
from icu_adversarial.model.networks import build
from icu_adversarial.model.storage import load_model, save_model
from icu_adversarial.model.training import (
    Fold,
    State,
    advance,
    log_odds,
    logits,
    make_fold,
    seed_of,
    start,
)
from icu_adversarial.params import Features, Model, Train
from icu_adversarial.processes import workers


def make_folds(
    grid: np.ndarray,
    cohort: pd.DataFrame,
    features: Features,
    model: Model,
    learn: np.ndarray | None = None,
) -> tuple[list[Fold], list[Scaler]]:
    """Every fold of the training stays, and its scaler. cohort: tables.COHORT; grid: (N, T, 19) in its order; learn: bool (N,), the stays that may be
    trained on, by default all."""
    fold = cohort["fold"].to_numpy()
    allowed = fold >= 0 if learn is None else (fold >= 0) & learn
    pairs = [
        make_fold(grid, cohort, fold == k, features, model, allowed & (fold != k))
        for k in sorted(set(fold) - {-1})
    ]
    return [data for data, _ in pairs], [scaler for _, scaler in pairs]


def train_folds(
    folds: Sequence[Fold], model: dict[str, Any], options: Train, checkpoints: Path
) -> list[State]:
    """Train the folds in parallel processes, `evaluate_every` epochs at a time, until `epochs` or, where the model keeps its best
    weights, until a fold has not improved for `patience`.

    model: params.Model as a dict. Each state goes to `checkpoints` after every evaluation; a run
    that finds them there goes on from them, to the same bytes. A damaged one is discarded, and its
    fold is trained from the start.
    Raises InputError when a fold's held-out loss was never a number; its checkpoints are removed.
    """
    files = [checkpoints / f"fold_{k}.safetensors" for k in range(len(folds))]
    seeds = [seed_of(options.seed, k) for k in range(len(folds))]
    patience = (
        options.patience if model["keep"] == "best" else None
    )  # the last weights are those of the last epoch
    states = [
        State.load(file) or start(fold, model, seed)
        for file, fold, seed in zip(files, folds, seeds, strict=True)
    ]
    with workers() as parallel:
        for epoch in tqdm(
            range(0, options.epochs, options.evaluate_every),
            desc="train",
            unit=f" x {options.evaluate_every} epochs",
        ):
            epochs = min(options.evaluate_every, options.epochs - epoch)
            now = [
                k
                for k, state in enumerate(states)
                if state.epoch == epoch and not _stalled(state, patience)
            ]
            new = parallel(
                delayed(advance)(
                    states[k], folds[k], model, epochs=epochs, of=options.epochs, seed=seeds[k]
                )
                for k in now
            )
            for k, state in zip(now, new, strict=True):
                states[k] = state
                state.save(files[k])
    diverged = [k for k, state in enumerate(states) if kept_evaluation(state, model) == -1]
    if diverged:
        shutil.rmtree(checkpoints)
        raise InputError(
            f"the held-out loss of fold {diverged[0]} was never a number: lower the learning rate "
            "of this network in params.yaml (model, tune_model.space or compare)"
        )
    return states


def _stalled(state: State, patience: int | None) -> bool:
    return patience is not None and len(state.history) - 1 - state.best_evaluation >= patience


def kept_evaluation(state: State, model: dict[str, Any]) -> int:
    """Which entry of the history the weights are kept of, as `keep` of the model says; -1 when no evaluation gave a finite loss."""
    last_is_a_number = np.isfinite(state.history[-1]["held_out_loss"])
    return (
        len(state.history) - 1
        if model["keep"] == "last" and last_is_a_number
        else state.best_evaluation
    )


def save_fold(
    folder: Path, state: State, data: Fold, scaler: Scaler, model: dict[str, Any]
) -> None:
    """Write the weights to keep, with the threshold of the best F1 on the held-out stays folded into its logits, and the scaler.

    Raises InputError when no evaluation gave a finite loss.
    """
    kept = kept_evaluation(state, model)
    if kept == -1:
        raise InputError(
            f"{folder.name}: the held-out loss was never a number: lower the learning rates of model and tune_model.space in params.yaml"
        )
    network = build(data.channels, data.statics, model)
    network.load_state_dict(state.weights if kept == len(state.history) - 1 else state.best)
    threshold = best_threshold(data.y_held_out, log_odds(network, data.x_held_out))
    network.fold_threshold(threshold)
    facts = {
        "epoch": state.history[kept]["epoch"],
        "threshold": threshold,
        "prior_shift": data.prior_shift(model),
    }
    save_model(folder, network, data.channels, model, facts)
    scaler.save(folder / "scaler.json")


def predict(models: Path, cohort: pd.DataFrame, grid: np.ndarray) -> pd.DataFrame:
    """The PREDICTIONS table, from the files in `models` alone: each fold's network for its own held-out stays, the mean of all networks' logits
    for the test stays. cohort: the COHORT table; grid: (N, T, 19) in its order.

    probability is calibrated out of fold (calibration.cross_fitted); `uncalibrated`, a further column, is the networks' at the cohort's prevalence.
    """
    fold = cohort["fold"].to_numpy()
    test = fold == -1
    folds = sorted(set(fold[~test]))
    z, shifts = np.zeros((len(cohort), 2)), np.zeros(len(cohort))
    for k in folds:
        folder = models / f"fold_{k}"
        network, scaler, about = (
            load_model(folder),
            Scaler.load(folder / "scaler.json"),
            read_json(folder / "model.json"),
        )
        shift = (
            about["threshold"] + about["prior_shift"]
        )  # from the logits of the decision back to those of the cohort's prevalence
        own = fold == k
        z[own], shifts[own] = logits(network, scaler.apply(grid[own], cohort[own])), shift
        z[test] += logits(network, scaler.apply(grid[test], cohort[test])).astype(np.float64) / len(
            folds
        )
        shifts[test] += shift / len(folds)
    z = z.astype(np.float32)
    log_odds = z[:, 1] - z[:, 0] + shifts
    return cohort[["stay_id", "fold", "died"]].assign(
        split=np.where(test, "test", "oof"),
        probability=cross_fitted(log_odds, cohort["died"].to_numpy(), fold),
        uncalibrated=sigmoid(log_odds),
        logit_0=z[:, 0],
        logit_1=z[:, 1],
        predicted=z[:, 1] > z[:, 0],
    )
