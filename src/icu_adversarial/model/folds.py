"""All folds together: trained side by side with checkpoints, saved with one threshold, and read
back to predict."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import delayed

from icu_adversarial.config.features import Features
from icu_adversarial.config.model import Model
from icu_adversarial.config.train import Train
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.log import Progress
from icu_adversarial.core.parallel import workers
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.features.splits import assign_folds
from icu_adversarial.model.calibration import cross_fitted
from icu_adversarial.model.networks.architectures import Network, build
from icu_adversarial.model.networks.storage import load_model, save_model
from icu_adversarial.model.scores import best_threshold, means_in_words
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

VALIDATION_PARTS = 5  # parts of the training subjects, of which one chooses the epoch


def make_folds(
    grid: np.ndarray,
    cohort: pd.DataFrame,
    features: Features,
    model: Model,
    learn: np.ndarray | None = None,
) -> tuple[list[Fold], list[Scaler]]:
    """Every fold of the training stays, and its scaler.

    A model that keeps its best weights chooses the epoch on stays that neither train nor score
    it: one of VALIDATION_PARTS parts of the fold's training subjects, stratified by outcome.

    Args:
        grid: (N, T, 19).
        cohort: tables.COHORT, in the order of grid.
        features: How the scalers are fitted.
        model: The network that the folds are for.
        learn: The stays that may be trained on, (N,) bool; by default all.

    Returns:
        The folds and the scalers, in the order of the folds.

    Raises:
        InputError: An outcome has fewer training subjects than VALIDATION_PARTS.
    """
    fold = cohort["fold"].to_numpy()
    allowed = fold >= 0 if learn is None else (fold >= 0) & learn
    pairs = []
    for k in sorted(set(fold) - {-1}):
        chosen, validation = allowed & (fold != k), None
        if model.keep == "best":
            validation = _validation(cohort, chosen, int(k))
            chosen = chosen & ~validation
        pairs.append(make_fold(grid, cohort, fold == k, features, model, chosen, validation))
    return [data for data, _ in pairs], [scaler for _, scaler in pairs]


def _validation(cohort: pd.DataFrame, chosen: np.ndarray, seed: int) -> np.ndarray:
    """The validation stays among the `chosen`, both bool (N,)."""
    subject, died = (cohort[name].to_numpy()[chosen] for name in ("subject_id", "died"))
    try:
        part = assign_folds(subject, died, folds=VALIDATION_PARTS, seed=seed)
    except InputError as error:
        raise InputError(
            f"model keep best: one of {VALIDATION_PARTS} parts of a fold's training subjects chooses "
            f"the epoch, and {error}: choose keep last or more data"
        ) from None
    validation = np.zeros(len(cohort), bool)
    validation[chosen] = part == 0
    return validation


def train_folds(
    folds: Sequence[Fold],
    model: Model,
    options: Train,
    checkpoints: Path,
    watch: Callable[[list[State]], None] = lambda states: None,
) -> list[State]:
    """Train the folds in parallel processes, `evaluate_every` epochs at a time, until `epochs` or, where the model keeps its best
    weights, until a fold has not improved for `patience`.

    model: its settings. Each state goes to `checkpoints` after every evaluation; a run
    that finds them there goes on from them, to the same bytes. A damaged one is discarded, and its
    fold is trained from the start.
    watch: Gets the states of all folds, first as this run finds them and again after every round.
    Raises InputError when a fold's held-out loss was never a number; its checkpoints are removed.
    """
    files = [checkpoints / f"fold_{k}.safetensors" for k in range(len(folds))]
    seeds = [seed_of(options.seed, k) for k in range(len(folds))]
    # The last weights are those of the last epoch.
    patience = options.patience if model.keep == "best" else None
    states = [
        State.load(file) or start(fold, model, seed)
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
            if not now:  # some wait for a later round, where an earlier run left them
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
            progress.step(means_in_words([state.history[-1] for state in new]), epochs)
    diverged = [k for k, state in enumerate(states) if kept_evaluation(state, model) == -1]
    if diverged:
        shutil.rmtree(checkpoints)
        raise InputError(
            f"the held-out loss of fold {diverged[0]} was never a number: lower the learning rate "
            "of this network in params.yaml (model, tune_model.space or literature)"
        )
    return states


def _stalled(state: State, patience: int | None) -> bool:
    return patience is not None and len(state.history) - 1 - state.best_evaluation >= patience


def kept_evaluation(state: State, model: Model) -> int:
    """Which entry of the history the weights are kept of, as `keep` of the model says; -1 when no evaluation gave a finite loss."""
    last_is_a_number = np.isfinite(state.history[-1]["held_out_loss"])
    return (
        len(state.history) - 1
        if model.keep == "last" and last_is_a_number
        else state.best_evaluation
    )


def save_folds(
    folders: Sequence[Path],
    states: Sequence[State],
    folds: Sequence[Fold],
    scalers: Sequence[Scaler],
    model: Model,
) -> None:
    """Write each fold's weights to keep and its scaler; one threshold is folded into all logits.

    The threshold is that of the best F1 on the held-out stays of all folds together, in log odds
    at the cohort's prevalence. logit_1 - logit_0 of every saved network is these log odds minus
    the threshold, so that the numbers of all folds mean the same.

    Args:
        folders: Where each fold goes.
        states: The trained folds.
        folds: What they were trained on.
        scalers: The scaler of each fold.
        model: its settings.

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


def _kept_network(name: str, state: State, data: Fold, model: Model) -> tuple[Network, float]:
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


def predict(models: Path, cohort: pd.DataFrame, grid: np.ndarray) -> pd.DataFrame:
    """The PREDICTIONS table, from the files in `models` alone.

    Each fold's network predicts its own held-out stays; the test stays have the mean of all
    networks' logits. probability is calibrated out of fold (calibration.cross_fitted).

    Args:
        models: The folder of the folds' folders.
        cohort: The COHORT table.
        grid: (N, T, 19) in its order.

    Returns:
        tables.PREDICTIONS.
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
        z[test] += logits(network, scaler.apply(grid[test], cohort[test])).astype(np.float64) / len(
            folds
        )
    z = z.astype(np.float32)
    return cohort[["stay_id", "fold", "died"]].assign(
        split=np.where(test, "test", "oof"),
        probability=cross_fitted(z[:, 1] - z[:, 0], cohort["died"].to_numpy(), fold),
        logit_0=z[:, 0],
        logit_1=z[:, 1],
        predicted=z[:, 1] > z[:, 0],
    )
