"""The stays of a fold as model input: which of them train, which score, which choose the epoch.

The stages that train a network and the search for one call it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from icu_adversarial.config.features import Features
from icu_adversarial.config.model import Model
from icu_adversarial.core.errors import InputError
from icu_adversarial.features.scaling import Scaler, fit_scaler
from icu_adversarial.features.splits import assign_folds

VALIDATION_PARTS = 5  # parts of the training subjects, of which one chooses the epoch


class Fold(NamedTuple):
    """The stays of one fold.

    x_train, y_train: The stays that train the weights: model input and the outcome (1 for death).
    x_held_out, y_held_out: The stays that score the network.
    statics: Number of static inputs, S. They are the last channels and the same at every hour.
    x_validation, y_validation: The stays that choose the epoch, for a model that keeps its best
        weights. Without them, the held-out stays choose it.
    """

    x_train: Float[np.ndarray, "train T C"]
    y_train: Int[np.ndarray, " train"]
    x_held_out: Float[np.ndarray, "held_out T C"]
    y_held_out: Int[np.ndarray, " held_out"]
    statics: int = 0
    x_validation: Float[np.ndarray, "validation T C"] | None = None
    y_validation: Int[np.ndarray, " validation"] | None = None

    @property
    def channels(self) -> int:
        """Number of channels, C."""
        return self.x_train.shape[2]

    def prior_shift(self, model: Model) -> float:
        """What must be added to the log odds of a network trained on balanced batches.

        Args:
            model: The settings of the network.

        Returns:
            The log odds of death among the training stays; 0 for natural batches.
        """
        if model.sampling != "balanced":
            return 0.0
        deaths = int(self.y_train.sum())
        return float(np.log(deaths / (len(self.y_train) - deaths)))


def make_fold(
    grid: Float[np.ndarray, "N T M"],
    names: Sequence[str],
    stays: pd.DataFrame,
    held_out: Bool[np.ndarray, " N"],
    features: Features,
    model: Model,
    learn: Bool[np.ndarray, " N"] | None = None,
    validation: Bool[np.ndarray, " N"] | None = None,
) -> tuple[Fold, Scaler]:
    """Fit the scaler on the training stays and apply it to all stays of the fold.

    Args:
        grid: Values in clinical units; NaN = not observed.
        names: The measurements of its columns.
        stays: The rows of schemas.COHORT of these stays.
        held_out: The stays that score the model.
        features: How the scaler is fitted.
        model: Which channels the network reads.
        learn: The training stays; by default all that are not held out.
        validation: The stays that choose the epoch, none of them in `learn`.

    Returns:
        The fold and its scaler.
    """
    learn = ~held_out if learn is None else learn
    scaler = fit_scaler(
        grid[learn],
        names,
        stays[learn],
        extra_channels=model.extra_channels,
        static_inputs=model.static_inputs,
        **features.model_dump(),
    )
    y = stays["died"].to_numpy().astype(np.int64)
    x_train, x_held_out = (
        scaler.apply(grid[chosen], stays[chosen]) for chosen in (learn, held_out)
    )
    fold = Fold(x_train, y[learn], x_held_out, y[held_out], scaler.statics.size)
    if validation is not None:
        x_validation = scaler.apply(grid[validation], stays[validation])
        fold = fold._replace(x_validation=x_validation, y_validation=y[validation])
    return fold, scaler


def make_folds(
    grid: Float[np.ndarray, "N T M"],
    names: Sequence[str],
    cohort: pd.DataFrame,
    features: Features,
    model: Model,
    learn: Bool[np.ndarray, " N"] | None = None,
) -> tuple[list[Fold], list[Scaler]]:
    """Prepare every fold of the training stays, and fit its scaler.

    A model that keeps its best weights chooses the epoch on stays that neither train nor score
    it: one of VALIDATION_PARTS parts of the fold's training subjects, stratified by outcome.

    Args:
        grid: Values in clinical units; NaN = not observed.
        names: The measurements of its columns.
        cohort: schemas.COHORT, in the order of grid.
        features: How the scalers are fitted.
        model: The network that the folds are for.
        learn: The stays that may be trained on; by default all.

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
        pairs.append(make_fold(grid, names, cohort, fold == k, features, model, chosen, validation))
    return [data for data, _ in pairs], [scaler for _, scaler in pairs]


def _validation(cohort: pd.DataFrame, chosen: np.ndarray, seed: int) -> np.ndarray:
    """The validation stays among the `chosen` ones, both bool (N,)."""
    subject, died = (cohort[name].to_numpy()[chosen] for name in ("subject_id", "died"))
    try:
        part = assign_folds(subject, died, folds=VALIDATION_PARTS, seed=seed)
    except InputError as error:
        raise InputError(
            f"model keep best: one of {VALIDATION_PARTS} parts of a fold's training subjects "
            f"chooses the epoch, and {error}: choose keep last or more data"
        ) from None
    validation = np.zeros(len(cohort), bool)
    validation[chosen] = part == 0
    return validation
