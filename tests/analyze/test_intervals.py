"""The coverage of intervals: simulations, closed forms and an independent reference."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import norm, t

from icu_adversarial.analyze.intervals import (
    Sample,
    errors,
    interval,
    moderate,
    rank_sets,
    resample,
)
from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS

FOLDS = 5


def invented(
    rng: np.random.Generator,
    subjects: int,
    columns: int,
    *,
    rate: float,
    models: float = 0.0,
    several: bool = False,
    folds: int = FOLDS,
) -> Sample:
    """Sparse |P| with a heavy tail; the mean per stay of each column is `rate`.

    models: standard deviation between folds' models, as a share of the mean.
    several: subjects with up to four stays that resemble each other.
    """
    fold = rng.choice(folds, subjects, p=rng.dirichlet(np.full(folds, 50)))
    stays = rng.integers(1, 5, subjects) if several else np.ones(subjects, int)
    shape = (subjects, columns)
    total = np.zeros(shape)
    for i in range(stays.max()):
        hit = (rng.random(shape) < rate) & (i < stays)[:, None]
        total += np.where(hit, rng.lognormal(-0.5, 1, shape), 0)
    if several:
        total *= rng.lognormal(-0.125, 0.5, shape)
    if models:
        total *= rng.gamma(models**-2, models**2, (folds, columns))[fold]
    return Sample(fold, stays.astype(float), csr_array(total))


REGIMES = {
    "models alike": {},
    "models differ": {"models": 0.25},
    "models dominate": {"models": 0.7},
    "several stays": {"models": 0.25, "several": True},
    "several stays, models alike": {"several": True},
}


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("subjects", [200, 800])
@pytest.mark.parametrize("rate", [0.4, 0.05], ids=["measurement", "cell"])
def test_the_interval_of_a_covers(regime: str, subjects: int, rate: float) -> None:
    """Each column is a repetition with other models. Only shown intervals are counted."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(4):
        sample = invented(rng, subjects, 300, rate=rate, **REGIMES[regime])
        low, high = interval(sample)
        shown = np.bincount(sample.change.indices, minlength=300) >= FEWEST_PATIENTS
        covered += ((low <= rate) & (rate <= high))[shown].tolist()
    assert len(covered) > 1000
    assert 0.90 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize(("models", "lowest", "highest"), [(0.0, 0.90, 0.99), (0.7, 0.0, 0.70)])
def test_with_one_model_the_interval_covers_the_subjects_and_leaves_out_the_model(
    models: float, lowest: float, highest: float
) -> None:
    rng = np.random.default_rng(2)
    sample = invented(rng, 400, 1000, rate=0.4, models=models, folds=1)
    low, high = interval(sample)
    assert lowest <= np.mean((low <= 0.4) & (high >= 0.4)) <= highest


def test_a_plain_bootstrap_of_five_folds_covers_too_rarely() -> None:
    """Why the interval is not made of the resamples' percentiles."""
    rng = np.random.default_rng(3)
    sample = invented(rng, 800, 300, rate=0.4, models=0.7)
    low, high = np.quantile(resample(sample, 400), [0.025, 0.975], axis=0)
    assert np.mean((low <= 0.4) & (high >= 0.4)) < 0.9


@pytest.mark.parametrize(("differing", "folds"), [(0, FOLDS), (9, FOLDS), (19, FOLDS), (0, 1)])
def test_equal_measurements_keep_all_ranks(differing: int, folds: int) -> None:
    """All true ranks are 1 to 19, tied: no set may leave one of them out.

    The models differ by 70 % of the mean on none, some or all of the measurements.
    """
    rng = np.random.default_rng(4)
    kept = []
    for _ in range(60):
        sample = invented(rng, 400, 19, rate=0.4, folds=folds)
        effect = rng.gamma(0.7**-2, 0.7**2, (FOLDS, 19))
        effect[:, differing:] = 1
        change = csr_array(sample.change.toarray() * effect[sample.fold])
        low, high = rank_sets(sample._replace(change=change), 200)
        kept.append((low == 1).all() and (high == 19).all())
    assert np.mean(kept) >= 0.9


def test_ratios_that_differ_by_chance_become_one() -> None:
    """Those of five folds each, with one true ratio: the pooled freedom is large."""
    ratio = 3 * np.random.default_rng(10).chisquare(4, 400) / 4
    found, freedom = moderate(ratio, 4)
    assert freedom > 50
    np.testing.assert_allclose(found, 3, rtol=0.3)


def test_ratios_that_differ_in_truth_stay_apart() -> None:
    rng = np.random.default_rng(11)
    ratio = np.repeat([0.01, 100.0], 200) * rng.chisquare(4, 400) / 4
    found, freedom = moderate(ratio, 4)
    assert 4 < freedom < 6
    np.testing.assert_allclose(found, ratio, rtol=0.5, atol=0.01)


def test_measurements_far_apart_have_one_rank() -> None:
    rng = np.random.default_rng(5)
    sample = invented(rng, 800, 4, rate=0.4)
    apart = sample._replace(change=csr_array(sample.change * np.array([[1, 30, 0, 5]])))
    low, high = rank_sets(apart, 300)
    assert low.tolist() == high.tolist() == [3, 1, 4, 2]


def test_one_fold_that_disagrees_widens_the_set_of_ranks() -> None:
    """A measurement that is twice another in four folds and a tenth of it in the fifth."""
    rng = np.random.default_rng(6)
    fold = np.arange(500) % 5
    change = rng.exponential(1, (500, 2)) * np.where(fold == 4, 0.1, 2)[:, None] ** [1, 0]
    five = Sample(fold, np.ones(500), csr_array(change))
    one = five._replace(fold=np.zeros(500, int))  # as if one model had met all subjects
    assert [bound.tolist() for bound in rank_sets(five, 300)] == [[1, 1], [2, 2]]
    assert [bound.tolist() for bound in rank_sets(one, 300)] == [[1, 2], [1, 2]]


def test_errors_agree_with_a_slow_reference() -> None:
    sample = invented(np.random.default_rng(7), 60, 3, rate=0.5, several=True, models=0.5)
    found, n, y = errors(sample), sample.stays, sample.change.toarray()
    for c in range(3):
        a = y[:, c].sum() / n.sum()
        between = within = 0.0
        for k in range(FOLDS):
            mine = [i for i in range(60) if sample.fold[i] == k]
            total, stays = sum(y[i, c] for i in mine), sum(n[i] for i in mine)
            between += (total - a * stays) ** 2
            squares = sum((y[i, c] - total / stays * n[i]) ** 2 for i in mine)
            within += squares * len(mine) / (len(mine) - 1)
        assert found.a[c] == pytest.approx(a)
        assert found.models[c] == pytest.approx((between * 5 / 4) ** 0.5 / n.sum())
        assert found.subjects[c] == pytest.approx(within**0.5 / n.sum())
    assert found.freedom == 4


def test_interval_by_hand() -> None:
    """Two folds of two subjects, one stay each: A = 4, the folds' values are 2 and 6."""
    sample = Sample(np.array([0, 0, 1, 1]), np.ones(4), csr_array([[1.0], [3.0], [5.0], [7.0]]))
    low, high = interval(sample)
    width = t.ppf(0.975, 1) * 2  # standard deviation between folds / sqrt(2)
    assert (low[0], high[0]) == pytest.approx((4 * np.exp(-width / 4), 4 * np.exp(width / 4)))
    low, high = interval(sample._replace(fold=np.zeros(4, int)))
    width = norm.ppf(0.975) * np.std([1, 3, 5, 7], ddof=1) / 2
    assert (low[0], high[0]) == pytest.approx((4 * np.exp(-width / 4), 4 * np.exp(width / 4)))


def test_the_interval_is_never_shorter_than_that_of_the_subjects() -> None:
    """If five folds agree by chance, the variance of their subjects still counts."""
    change = csr_array(np.tile([0.0, 2.0], 50)[:, None])
    alike = Sample(np.repeat(np.arange(5), 20), np.ones(100), change)
    assert errors(alike).models[0] == pytest.approx(0, abs=1e-12)
    low, high = interval(alike)
    width = norm.ppf(0.975) * (100 / 95) ** 0.5 / 10
    assert (np.log(low[0]), np.log(high[0])) == pytest.approx((-width, width))


def test_a_cell_that_is_never_perturbed_has_no_interval() -> None:
    sample = Sample(np.array([0, 1]), np.ones(2), csr_array([[0.0, 1.0], [0.0, 1.0]]))
    low, high = interval(sample)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False]


@pytest.mark.parametrize("folds", [1, FOLDS])
def test_resamples_vary_as_two_levels_of_draws_do(folds: int) -> None:
    """Folds of equal size: Var = sum (a_k - A)^2 / K^2 + mean variance within folds / (K S)."""
    rng = np.random.default_rng(8)
    fold = np.arange(200) % folds
    y = rng.exponential(1, (200, 2)) * (1 + fold)[:, None]
    drawn = resample(Sample(fold, np.ones(200), csr_array(y)), 20_000)
    own = np.array([y[fold == k].mean(axis=0) for k in range(folds)])
    within = np.mean([y[fold == k].var(axis=0) for k in range(folds)], axis=0)
    np.testing.assert_allclose(drawn.mean(axis=0), y.mean(axis=0), rtol=0.02)
    np.testing.assert_allclose(drawn.var(axis=0), own.var(axis=0) / folds + within / 200, rtol=0.05)


def test_stays_of_one_subject_are_drawn_together() -> None:
    """Two subjects with one and three stays: a resample knows three averages."""
    sample = Sample(np.zeros(2, int), np.array([1.0, 3.0]), csr_array([[1.0], [6.0]]))
    found = set(resample(sample, 200)[:, 0].round(6))
    assert found == {1.0, 2.0, 1.75}


def test_parts_of_the_draws_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = invented(np.random.default_rng(9), 100, 2, rate=0.5, folds=1)
    whole = resample(sample, 50)
    monkeypatch.setattr("icu_adversarial.analyze.intervals.CHUNK", 700)
    np.testing.assert_allclose(resample(sample, 50), whole, rtol=1e-12)
