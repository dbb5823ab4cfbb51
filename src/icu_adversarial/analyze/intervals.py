"""The 95 % interval of the mean change A, and the sets of ranks.

The only caller is `susceptibility`. A is the sum of |P| over all attacked stays, divided by their
number. It varies for two reasons: other subjects could have been attacked, and each fold has its
own model.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import digamma, ndtr, ndtri, polygamma, stdtrit
from scipy.stats import studentized_range

LEVEL = 0.95
SINGLE = float(ndtri((1 + LEVEL) / 2))  # critical value of one interval: 1.96
SEED = 0  # of the resamples
CHUNK = 4_000_000  # weights drawn at a time


class Sample(NamedTuple):
    """The S subjects that were attacked in one direction.

    fold: int (S,), the model that was attacked with each subject, numbered 0..K-1 without a gap;
        all 0 if there is one model.
    stays: float (S,), the attacked stays of each subject, at least 1.
    change: (S, C), the sum of |P| over the stays of each subject in each of C cells, in model
        input units.
    """

    fold: np.ndarray
    stays: np.ndarray
    change: csr_array

    @property
    def models(self) -> int:
        """K."""
        return int(self.fold.max()) + 1


class Errors(NamedTuple):
    """A, float (C,), and its standard errors, float (C,), by the source of the variance.

    models: From the differences between the folds' values, with `freedom` degrees of freedom; 0
        if there is one model.
    subjects: From the subjects within each fold.
    """

    a: np.ndarray
    models: np.ndarray
    subjects: np.ndarray
    freedom: int

    def half_width(self, critical: float) -> np.ndarray:
        """Half the width of an interval, float (C,).

        Args:
            critical: quantile of the standard normal distribution, e.g. 1.96 for 95 %.
        """
        student = -stdtrit(self.freedom, ndtr(-critical))  # as unlikely, with few folds
        return np.maximum(critical * self.subjects, student * self.models)


def errors(sample: Sample) -> Errors:
    """A of each cell and its standard errors.

    A is a ratio of two sums, which is linearised. Y_k and N_k are the sums of |P| and of stays in
    fold k, N is the sum of all N_k, and e_k = Y_k - A N_k. The variance between K folds is
    K / (K - 1) * sum e_k^2 / N^2. The same formula gives the variance between the subjects of a
    fold, with the fold's own A (Cochran 1977, Sampling Techniques, sections 6.4 and 9.3).
    """
    s, k = len(sample.fold), sample.models
    y, n = sample.change, sample.stays
    fold = csr_array((np.ones(s), (sample.fold, np.arange(s))), shape=(k, s))
    total, stays, subjects = (fold @ y).toarray(), (fold @ n)[:, None], fold.sum(axis=1)
    a = total.sum(axis=0) / n.sum()
    own = total / stays
    squares = (
        (fold @ y.power(2)).toarray()
        - 2 * own * (fold @ y.multiply(n[:, None]).tocsr()).toarray()
        + own**2 * (fold @ n**2)[:, None]
    )
    spread = (subjects / np.maximum(subjects - 1, 1)) @ np.maximum(squares, 0)
    between = ((total - a * stays) ** 2).sum(axis=0) * (k / max(k - 1, 1))
    return Errors(a, np.sqrt(between) / n.sum(), np.sqrt(spread) / n.sum(), max(k - 1, 1))


def interval(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of A in each cell.

    It goes from A * exp(-h / A) to A * exp(h / A), where h is the larger of two half-widths. The
    first one is 1.96 standard errors of the subjects with fixed models. The second one is Student's
    quantile with K - 1 degrees of freedom, multiplied by the standard error between folds, which
    contains the variance of models and subjects. With few clusters, a cluster bootstrap or the
    normal quantile covers too rarely (Cameron and Miller 2015, Journal of Human Resources 50,
    section VI). The first half-width is the smallest possible one, even if the five folds are
    similar by chance. The logarithm keeps the interval above 0 and makes it longer upwards, because
    the distribution of |P| is skewed. With one model, only the first half-width is used.

    The coverage was simulated (tests/analyze/test_intervals.py): 92 to 98 % with no, some and
    large differences between models. A two-level bootstrap of folds and subjects covers in 83 to
    98 % and, widened for five folds, in up to 100 %. The models of the folds share most of their
    training stays, so the interval is not valid for another training cohort.

    Returns:
        Lowest and highest, each float (C,). NaN where A is 0.
    """
    found = errors(sample)
    positive = found.a > 0
    a = np.where(positive, found.a, np.nan)
    width = found.half_width(SINGLE) / a
    return a * np.exp(-width), a * np.exp(width)


def resample(sample: Sample, resamples: int) -> np.ndarray:
    """A in two-level resamples: folds are drawn with replacement, then subjects within them.

    With one model, only subjects are drawn. If a fold is drawn twice, the weights of its subjects
    are one multinomial draw of twice as many subjects.

    Returns:
        float (resamples, C).
    """
    rng = np.random.default_rng(SEED)
    k, cells = sample.models, sample.change.shape[1]
    times = rng.multinomial(k, np.full(k, 1 / k), resamples)
    total, stays = np.zeros((resamples, cells)), np.zeros(resamples)
    for i in range(k):
        rows = np.flatnonzero(sample.fold == i)
        change, n, s = sample.change[rows], sample.stays[rows], len(rows)
        drawn, step = times[:, i] * s, max(1, CHUNK // s)
        for start in range(0, resamples, step):
            part = slice(start, start + step)
            weights = rng.multinomial(drawn[part], np.full(s, 1 / s)).astype(np.float64)
            total[part] += weights @ change
            stays[part] += weights @ n
    return total / stays[:, None]


def rank_sets(sample: Sample, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """The set of ranks that each of C measurements may have.

    With 95 % confidence, all true ranks are in their sets at the same time. A rank is 1 + the
    number of measurements with a larger A, so equal measurements share a rank. A measurement ranks
    behind another one if their difference is larger than a simultaneous interval of all pairwise
    differences allows (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91).

    The critical value is the 95 % quantile, over the resamples, of the largest standardised
    difference of all pairs. It is at least Tukey's value for as many independent means, because the
    deviations of five folds are bounded, and the largest of them is smaller than that of new folds.
    The standard error of a difference is that of the subjects, multiplied by the root of the
    variance ratio of `moderate`, which is at least 1. Student's quantile has the degrees of freedom
    of that ratio.

    In simulations with equal measurements, the sets contain all true ranks in 94 to 100 % of the
    repetitions, whether the models differ on none, half or all of the measurements.

    Args:
        sample: with one column per measurement.
        resamples: how often folds and subjects are drawn.

    Returns:
        Lowest and highest rank, each float (C,).
    """
    cells = sample.change.shape[1]
    one, other = np.triu_indices(cells, 1)
    change = sample.change.toarray()
    found = errors(sample._replace(change=csr_array(change[:, one] - change[:, other])))
    drawn = resample(sample, resamples)
    deviation = drawn[:, one] - drawn[:, other] - found.a
    scale = deviation.std(axis=0)
    largest = np.abs(deviation[:, scale > 0] / scale[scale > 0]).max(axis=1, initial=0)
    tukey = float(studentized_range.ppf(LEVEL, cells, np.inf)) / np.sqrt(2)
    critical = max(float(np.quantile(largest, LEVEL)), tukey)
    half = found.half_width(critical)
    varies = (found.subjects > 0) & (found.models > 0)
    if varies.sum() > 1:
        ratio = (found.models[varies] / found.subjects[varies]) ** 2
        ratio, freedom = moderate(ratio, found.freedom)
        error = found.subjects[varies] * np.sqrt(np.maximum(ratio, 1))
        half[varies] = -stdtrit(freedom, ndtr(-critical)) * error
    ahead = np.zeros((cells, cells), bool)  # [i, j]: i is larger than j
    ahead[one, other], ahead[other, one] = found.a > half, -found.a > half
    return 1.0 + ahead.sum(axis=0), cells - ahead.sum(axis=1).astype(np.float64)


def moderate(ratio: np.ndarray, freedom: int) -> tuple[np.ndarray, float]:
    """Shrink variance ratios towards their common value.

    Five folds give a poor estimate of the variance between the models for one pair of measurements,
    and a good one for all pairs together. A scaled F distribution is fitted to the ratios, by the
    mean and variance of their logarithms. Each ratio is replaced by a posterior mean (Smyth 2004,
    Statistical Applications in Genetics and Molecular Biology 3, sections 4 and 6.2).

    Args:
        ratio: float (n,), n > 1, positive: variance between folds, relative to what the subjects
            alone explain.
        freedom: degrees of freedom of each.

    Returns:
        The moderated ratios, float (n,), and their degrees of freedom.
    """
    logs = np.log(ratio) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = np.clip(logs.var(ddof=1) - polygamma(1, freedom / 2), 1e-6, 1e5)
    half = brentq(lambda y: polygamma(1, y) - excess, 1e-3, 1e7)  # of the prior's freedom
    common = np.exp(logs.mean() + digamma(half) - np.log(half))
    total = 2 * half + freedom
    return (2 * half * common + freedom * ratio) / total, total
