"""Whether a new run is worse than an old one, on the same stays. The command `gate` prints it.

The networks are compared on the stays out of fold. The test set is left out: a gate is used again
and again, and a test set that helps to choose models says nothing about new patients.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from icu_adversarial.config.gate import Gate
from icu_adversarial.core.errors import InputError
from icu_adversarial.evaluate.statistics import resampled
from icu_adversarial.model.scores import weighted_rank_scores
from icu_adversarial.tools.revisions import Revision

LARGER, SMALLER = 1, -1  # what is better
TAIL = 0.025  # probability on each side of a 95 % interval
WORSE, NOT_WORSE, OPEN = "worse", "not worse", "open"
# Weights of the stays (R, N) → the values of the old and of the new run, each (R,).
Values = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Measure(NamedTuple):
    """A measure of both runs on the same stays.

    Attributes:
        name: In the table.
        group: The heading in the table.
        margin: The name of its margin in `gate` of params.yaml.
        better: LARGER or SMALLER.
        relative: Whether the runs are compared by the logarithm of their ratio.
        values: The values of both runs.
        subject: The subject of each stay, (N,).
        fold: The model of each stay, (N,).
    """

    name: str
    group: str
    margin: str
    better: int
    relative: bool
    values: Values
    subject: np.ndarray
    fold: np.ndarray

    def difference(self, weight: np.ndarray) -> np.ndarray:
        """New minus old, or log(new / old), for each row of weights."""
        old, new = self.values(weight)
        return np.log(new / old) if self.relative else new - old


class Row(NamedTuple):
    """A measure of both runs, compared.

    Attributes:
        measure: What is compared.
        old: The value of the old run.
        new: The value of the new run.
        difference: As `Measure.difference`.
        half: Half the width of its 95 % interval.
        allowed: The difference that is just allowed.
    """

    measure: Measure
    old: float
    new: float
    difference: float
    half: float
    allowed: float

    @property
    def verdict(self) -> str:
        """WORSE, NOT_WORSE or OPEN.

        WORSE: the whole interval is beyond the margin. NOT_WORSE: the whole interval is within it.
        OPEN: neither, so there are too few stays or folds to tell.
        """
        gain = self.measure.better * (self.difference - self.allowed)
        if gain + self.half < 0:
            return WORSE
        return NOT_WORSE if gain - self.half >= 0 else OPEN


def compare(old: Revision, new: Revision, margins: Gate, resamples: int, seed: int) -> list[Row]:
    """Compare two runs on the same stays.

    Args:
        old: The run that sets the standard.
        new: The run that is judged.
        margins: How much worse it may be.
        resamples: How often the subjects are drawn.
        seed: Of the draws.

    Returns:
        A row for each measure of the networks, and for each of every attack.

    Raises:
        InputError: The runs have different stays, or no objective in common.
    """
    _check(old, new)
    measures = list(_of_networks(old.stays, new.stays))
    for objective in old.attacks:
        if objective in new.attacks:
            measures += _of_attacks(objective, old, new)
    return [_compared(m, getattr(margins, m.margin), resamples, seed) for m in measures]


def _check(old: Revision, new: Revision) -> None:
    """Refuse two runs that cannot be paired."""
    names, paired = f"{old.name} and {new.name}", old.stays.index.intersection(new.stays.index)
    if not len(old.stays) == len(new.stays) == len(paired):
        counts = f"{len(old.stays)} and {len(new.stays)}, {len(paired)} in both"
        raise InputError(f"{names} have different stays ({counts}): compare runs of one cohort")
    for column in ("subject_id", "died", "fold"):
        differ = int((old.stays[column] != new.stays.loc[old.stays.index, column]).sum())
        if differ:
            raise InputError(
                f"{names} differ in {column} of {differ} of {len(paired)} stays: compare runs with "
                "the same data, outcome and split"
            )
    if not set(old.attacks) & set(new.attacks):
        raise InputError(f"{names} have no objective in common")


def _of_networks(old: pd.DataFrame, new: pd.DataFrame) -> Iterator[Measure]:
    """The measures of the networks on the stays out of fold."""
    old = old[old["fold"] >= 0]
    both, died = (old, new.loc[old.index]), old["died"].to_numpy(np.float64)
    fold = old["fold"].to_numpy()
    log_odds = [(run["logit_1"] - run["logit_0"]).to_numpy(np.float64) for run in both]
    squares = [(run["probability"].to_numpy(np.float64) - died) ** 2 for run in both]

    def auroc(z: np.ndarray, weight: np.ndarray) -> np.ndarray:
        each = [
            weighted_rank_scores(died[own], z[own], weight[:, own])[0]
            for own in (fold == k for k in np.unique(fold))
        ]
        return _known_mean(np.array(each))  # the jackknife leaves a fold out

    add = partial(
        Measure, group="network, out of fold", relative=False, subject=_subject(old), fold=fold
    )
    yield add("AUROC", margin="auroc", better=LARGER, values=_each(auroc, log_odds))
    yield add("Brier score", margin="brier", better=SMALLER, values=_each(_mean, squares))


def _of_attacks(objective: str, old: Revision, new: Revision) -> Iterator[Measure]:
    """The measures of one attack: flips of the stays attacked in both, sizes of those flipped.

    Each is a mean of the two directions, a geometric one for sizes. Another threshold of the
    networks makes one direction easier and the other one harder. It hardly changes such a mean.
    """
    index = old.attacks[objective].index.intersection(new.attacks[objective].index)
    both = [run.attacks[objective].loc[index] for run in (old, new)]
    same = (both[0]["direction"] == both[1]["direction"]).to_numpy()
    flipped = same & (both[0]["success"] & both[1]["success"]).to_numpy()
    for name, column, better, chosen in (
        ("flipped", "success", SMALLER, same),
        ("changed cells", "l0", LARGER, flipped),
        ("L1", "l1", LARGER, flipped),
    ):
        runs = [run[chosen] for run in both]
        mean = partial(_of_directions, runs[0]["direction"].to_numpy(), better == LARGER)
        yield Measure(
            name,
            group=objective,
            margin=name.lower().replace(" ", "_"),
            better=better,
            relative=better == LARGER,
            values=_each(mean, [run[column].to_numpy(np.float64) for run in runs]),
            subject=_subject(old.stays.loc[runs[0].index]),
            fold=runs[0]["fold"].to_numpy(),
        )


def _of_directions(
    direction: np.ndarray, geometric: bool, column: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """The mean of the directions' means, each (R,). A direction without weight is left out."""
    each = [
        _mean(column[own], weight[:, own])
        for own in (direction == name for name in np.unique(direction))
    ]
    return np.exp(_known_mean(np.log(each))) if geometric else _known_mean(np.array(each))


def _known_mean(rows: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is not NaN. NaN where nothing is known."""
    known = np.isfinite(rows)
    return np.where(known, rows, 0).sum(axis=0) / known.sum(axis=0)


def _subject(stays: pd.DataFrame) -> np.ndarray:
    return stays["subject_id"].to_numpy()


def _each(function: Callable[[np.ndarray, np.ndarray], np.ndarray], of: list[np.ndarray]) -> Values:
    """Apply a function of a column and of weights to the column of each run."""
    return lambda weight: (function(of[0], weight), function(of[1], weight))


def _mean(column: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return weight @ column / weight.sum(axis=1)


def _compared(measure: Measure, margin: float, resamples: int, seed: int) -> Row:
    """Compare the runs by one measure.

    Half the width of the interval is the larger of two. The first one is 1.96 standard errors over
    resampled subjects, with fixed models. The second one is Student's quantile times the jackknife
    standard error over the folds, with K - 1 degrees of freedom. The networks of the folds are
    trained with seeds of their own, so their differences contain the chance of training, which
    resampled stays cannot show. `analyze.intervals` uses the same rule and says why.
    """
    allowed = float(np.log1p(-margin)) if measure.relative else -measure.better * margin
    if not len(measure.subject):
        return Row(measure, np.nan, np.nan, np.nan, np.nan, allowed)
    with np.errstate(invalid="ignore", divide="ignore"):
        (old,), (new,) = measure.values(np.ones((1, len(measure.fold))))
        (difference,) = measure.difference(np.ones((1, len(measure.fold))))
        draws = resampled(measure.subject, resamples, seed)
        drawn = np.concatenate([measure.difference(weight) for weight in draws])
        folds = np.unique(measure.fold)
        left_out = measure.difference((measure.fold != folds[:, None]).astype(np.float64))
    half = -stdtrit(1e9, TAIL) * np.nanstd(drawn, ddof=1)
    if (k := len(folds)) > 1:
        error = np.sqrt((k - 1) * np.nanvar(left_out))
        half = max(half, -stdtrit(k - 1, TAIL) * error)
    return Row(measure, float(old), float(new), float(difference), float(half), allowed)
