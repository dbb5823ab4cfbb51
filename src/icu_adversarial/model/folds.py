"""All folds together: train them in parallel, save them with one threshold, and predict.

The stage train and the studies call it.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from joblib import delayed

from icu_adversarial.config.model import Model
from icu_adversarial.config.train import Train
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.log import Progress
from icu_adversarial.core.parallel import workers
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.model.calibration import cross_fitted
from icu_adversarial.model.fold_data import Fold
from icu_adversarial.model.networks.base import Network
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.networks.storage import load_model, save_model
from icu_adversarial.model.scores import best_threshold, means_in_words
from icu_adversarial.model.state import TrainingState
from icu_adversarial.model.training import advance, log_odds, logits, seed_of, start


def train_folds(
    folds: Sequence[Fold],
    model: Model,
    options: Train,
    checkpoints: Path,
    watch: Callable[[list[TrainingState]], None] = lambda states: None,
) -> list[TrainingState]:
    """Train the folds in parallel processes, `evaluate_every` epochs at a time.

    A fold stops after `epochs`. If the model keeps its best weights, it also stops after
    `patience` evaluations without a lower loss. The state of a fold is stored after each
    evaluation. A run that finds stored states continues from them and gives the same bytes. A
    damaged state is discarded, and its fold is trained from the start.

    Args:
        folds: The data of each fold.
        model: The settings of the network.
        options: `train` of params.yaml.
        checkpoints: The folder of the states.
        watch: Gets the states of all folds, first as this run finds them and again after every
            round.

    Returns:
        The last state of each fold.

    Raises:
        InputError: The held-out loss of a fold was never a number. The states are then removed.
    """
    files = [checkpoints / f"fold_{k}.safetensors" for k in range(len(folds))]
    seeds = [seed_of(options.seed, k) for k in range(len(folds))]
    # The last weights are those of the last epoch.
    patience = options.patience if model.keep == "best" else None
    states = [
        TrainingState.load(file) or start(fold, model, seed)
        for file, fold, seed in zip(files, folds, seeds, strict=True)
    ]
    watch(states)
    waiting = [state.epoch for state in states if not _stalled(state, patience)]
    done = min(waiting, default=options.epochs)
    with workers() as parallel, Progress("train", options.epochs, "epoch", done) as progress:
        for epoch in range(done, options.epochs, options.evaluate_every):
            epochs = min(options.evaluate_every, options.epochs - epoch)
            now = [
                k
                for k, state in enumerate(states)
                if state.epoch == epoch and not _stalled(state, patience)
            ]
            if not now:  # an earlier run has trained the others to a later round
                continue
            new = parallel(
                delayed(advance)(
                    states[k], folds[k], model, epochs=epochs, of=options.epochs, seed=seeds[k]
                )
                for k in now
            )
            for k, state in zip(now, new, strict=True):
                states[k] = state
                state.save(files[k])
            watch(states)
            trained = f"{len(now)} of {len(folds)} folds"
            means = means_in_words([state.history[-1] for state in new])
            progress.step(f"{trained}, {means}", epochs)
    if (diverged := _diverged(states, model)) is not None:
        shutil.rmtree(checkpoints)
        raise InputError(
            f"the held-out loss of fold {diverged} was never a number: lower the learning rate "
            "of this network in params.yaml (model, tune_model.space or literature)"
        )
    return states


def _diverged(states: Sequence[TrainingState], model: Model) -> int | None:
    """The first fold whose held-out loss was never a number, or None."""
    numbers = (k for k, state in enumerate(states) if kept_evaluation(state, model) == -1)
    return next(numbers, None)


def _stalled(state: TrainingState, patience: int | None) -> bool:
    """Whether the last `patience` evaluations brought no lower loss."""
    return patience is not None and len(state.history) - 1 - state.best_evaluation >= patience


def kept_evaluation(state: TrainingState, model: Model) -> int:
    """Find the evaluation whose weights are kept, as `keep` of the model says.

    Args:
        state: A trained fold.
        model: The settings of the network.

    Returns:
        Its index in the history; -1 if no evaluation gave a finite loss.
    """
    if model.keep == "last" and np.isfinite(state.history[-1]["held_out_loss"]):
        return len(state.history) - 1
    return state.best_evaluation


def save_folds(
    folders: Sequence[Path],
    states: Sequence[TrainingState],
    folds: Sequence[Fold],
    scalers: Sequence[Scaler],
    model: Model,
) -> None:
    """Write the kept weights and the scaler of each fold, with one threshold for all folds.

    The threshold has the best F1 on the held-out stays of all folds together. It is in log odds at
    the cohort's prevalence. It is subtracted from the logits of every saved network: logit_1 -
    logit_0 is then these log odds minus the threshold, and is comparable between the folds.

    Args:
        folders: Where each fold goes.
        states: The trained folds.
        folds: The data they were trained on.
        scalers: The scaler of each fold.
        model: The settings of the network.

    Raises:
        InputError: No evaluation of a fold gave a finite loss.
    """
    kept = [
        _kept_network(folder.name, state, data, model)
        for folder, state, data in zip(folders, states, folds, strict=True)
    ]
    shifts = [data.prior_shift(model) for data in folds]
    log_odds_held_out = [
        log_odds(network, data.x_held_out) + shift
        for (network, _), data, shift in zip(kept, folds, shifts, strict=True)
    ]
    died = np.concatenate([data.y_held_out for data in folds])
    threshold = best_threshold(died, np.concatenate(log_odds_held_out))
    parts = zip(folders, kept, folds, scalers, shifts, strict=True)
    for folder, (network, epoch), data, scaler, shift in parts:
        network.fold_threshold(threshold - shift)
        facts = {"epoch": epoch, "threshold": threshold, "prior_shift": shift}
        save_model(folder, network, data.channels, model, facts)
        scaler.save(folder / "scaler.json")


def _kept_network(
    name: str, state: TrainingState, data: Fold, model: Model
) -> tuple[Network, float]:
    """The network with the weights to keep, and their epoch."""
    kept = kept_evaluation(state, model)
    if kept == -1:
        raise InputError(
            f"{name}: the held-out loss was never a number: lower the learning rates of model and "
            "tune_model.space in params.yaml"
        )
    network = build(data.channels, data.statics, model)
    network.load_state_dict(state.weights if kept == len(state.history) - 1 else state.best)
    return network, state.history[kept]["epoch"]


def predict(models: Path, cohort: pd.DataFrame, grid: Float[np.ndarray, "N T M"]) -> pd.DataFrame:
    """Predict every stay with the saved models.

    The network of a fold predicts the held-out stays of that fold. A test stay has the mean of all
    networks' logits. The probability is calibrated out of fold, as in `calibration.cross_fitted`.

    Args:
        models: The folder of the folds' folders.
        cohort: schemas.COHORT.
        grid: Values in clinical units, in the order of the cohort; NaN = not observed.

    Returns:
        schemas.PREDICTIONS.
    """
    fold = cohort["fold"].to_numpy()
    test = fold == -1
    folds = sorted(set(fold[~test]))
    z = np.zeros((len(cohort), 2))
    for k in folds:
        folder = models / f"fold_{k}"
        network, scaler = load_model(folder), Scaler.load(folder / "scaler.json")
        own = fold == k
        z[own] = logits(network, scaler.apply(grid[own], cohort[own]))
        on_test = logits(network, scaler.apply(grid[test], cohort[test]))
        z[test] += on_test.astype(np.float64) / len(folds)
    z = z.astype(np.float32)
    return cohort[["stay_id", "fold", "died"]].assign(
        split=np.where(test, "test", "oof"),
        probability=cross_fitted(z[:, 1] - z[:, 0], cohort["died"].to_numpy(), fold),
        logit_0=z[:, 0],
        logit_1=z[:, 1],
        predicted=z[:, 1] > z[:, 0],
    )
