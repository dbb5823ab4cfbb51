"""Paired differences of two models' scores on the same test stays, with their standard errors.

benchmarks/models.py uses it. A difference is random for two reasons: the choice of the stays in the
test set, and the randomness of each training.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from icu_adversarial.evaluate.statistics import corrected_standard_error, paired_difference
from icu_adversarial.model.scores import rank_scores

SCORES = ("AUROC", "AUPRC")
RESAMPLES, SEED = 1000, 20240807
NOT_SHOWN = "not shown"


class Difference(NamedTuple):
    """How much higher one model scores than another.

    error: The standard error.
    freedom: The degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval by Student's t."""
        half = float(stats.t.ppf(0.975, self.freedom)) * self.error
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float:
        """The two-sided p-value of no difference."""
        if self.error == 0:
            return float(self.value == 0)
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))

    @property
    def verdict(self) -> str:
        """Which model is better, if the interval excludes 0."""
        low, high = self.interval
        return "higher" if low > 0 else "lower" if high < 0 else NOT_SHOWN


def with_both_errors(value: float, test: float, training: Sequence[float]) -> Difference:
    """Join the two standard errors, with the degrees of freedom of Welch and Satterthwaite.

    Args:
        value: The difference.
        test: Its standard error over test stays, from a bootstrap.
        training: The differences of single trainings. The standard error of their mean is that over
            trainings, with one degree of freedom less than trainings.
    """
    variance = float(np.var(training, ddof=1)) / len(training)
    total = test**2 + variance
    freedom = (len(training) - 1) * (total / variance) ** 2 if variance > 0 else np.inf
    return Difference(value, float(np.sqrt(total)), float(freedom))


def of_single_models(
    died: np.ndarray, a: Sequence[np.ndarray], b: Sequence[np.ndarray]
) -> list[Difference]:
    """By score, the mean over the seeds of the difference between models of `a` and `b`.

    Args:
        died: The outcome of the test stays, (N,), 0 or 1. Each subject has one stay.
        a: Log odds by the model of each seed, each (N,).
        b: The same for the other model, with the same seeds.

    Returns:
        One difference for each of SCORES. Its bootstrap error is the mean of the seeds' bootstrap
        errors, which is an upper limit.
    """
    seeds = [_bootstrap(died, one, other) for one, other in zip(a, b, strict=True)]
    values, errors = (np.array([[s[i] for s in seed] for seed in seeds]) for i in (0, 1))
    return [
        with_both_errors(float(value.mean()), float(error.mean()), list(value))
        for value, error in zip(values.T, errors.T, strict=True)
    ]


def of_averages(
    died: np.ndarray, a: Sequence[np.ndarray], b: Sequence[np.ndarray]
) -> list[Difference]:
    """By score, the difference between the averages of the models `a` and `b` in log odds.

    The error over trainings is that of the jackknife: each seed is left out of both averages once
    (Efron and Stein 1981, The jackknife estimate of variance, Annals of Statistics 9:586-596).

    Args and Returns: As in `of_single_models`.
    """
    whole = _bootstrap(died, np.mean(a, axis=0), np.mean(b, axis=0))
    members = len(a)
    without = np.array(
        [
            np.subtract(
                rank_scores(died, np.mean([*a[:i], *a[i + 1 :]], axis=0)),
                rank_scores(died, np.mean([*b[:i], *b[i + 1 :]], axis=0)),
            )
            for i in range(members)
        ]
    )
    # Tukey's pseudo-values: the variance of their mean is the jackknife's.
    return [
        with_both_errors(value, error, list(members * value - (members - 1) * left_out))
        for (value, error), left_out in zip(whole, without.T, strict=True)
    ]


def over_folds(folds: Sequence[list[Difference]], test_over_train: float) -> list[Difference]:
    """The mean of the folds' differences. Its error allows for overlapping training sets."""
    values = np.array([[d.value for d in fold] for fold in folds])
    return [
        Difference(float(v.mean()), corrected_standard_error(v, test_over_train), len(folds) - 1.0)
        for v in values.T
    ]


def over_directions(directions: Sequence[list[Difference]]) -> list[Difference]:
    """The mean of differences that share neither training stays nor test stays."""
    means = []
    for parts in zip(*directions, strict=True):
        variances = np.array([part.error**2 for part in parts]) / len(parts) ** 2
        shares = variances**2 / np.array([part.freedom for part in parts])
        freedom = float(variances.sum() ** 2 / shares.sum()) if shares.sum() > 0 else np.inf
        mean = float(np.mean([part.value for part in parts]))
        means.append(Difference(mean, float(np.sqrt(variances.sum())), freedom))
    return means


def _bootstrap(died: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[tuple[float, float]]:
    """The difference of each score, and its standard error over resamples of the stays."""
    found = paired_difference(
        died, a, b, np.arange(len(died)), resamples=RESAMPLES, seed=SEED
    ).values()
    return [(_number(one["value"]), _number(one["standard_error"])) for one in found]


def _number(value: float | None) -> float:
    return np.nan if value is None else value
