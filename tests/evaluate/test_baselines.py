"""Summaries, search and predictions of the baselines, against slow references and planted signals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from literature_set import M
from model_world import make_cohort
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from icu_adversarial.config.baselines import Baselines
from icu_adversarial.config.params import Params
from icu_adversarial.config.tune_model import TuneModel
from icu_adversarial.evaluate import baselines
from icu_adversarial.evaluate.baseline_inputs import SUMMARIES, summaries
from icu_adversarial.evaluate.baselines import BASELINES, predict, search
from icu_adversarial.evaluate.predictions import Prediction
from icu_adversarial.features.statics import fit_statics
from icu_adversarial.model.networks.summary import SMALLEST_VARIANCE, summarise

SEED = 7


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are trained in this process."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")


def make_options(params: Params, trials: int = 0) -> tuple[Baselines, TuneModel]:
    """Small models, so that a search takes a second."""
    content = params.baselines.model_dump() | {"trials": trials}
    content["first"]["gradient_boosting"] |= {
        "max_iter": 20,
        "learning_rate": 0.2,
        "max_features": 1.0,
    }
    content["first"]["gradient_boosting"] |= {"max_leaf_nodes": 8, "min_samples_leaf": 10}
    content["first"]["logistic_regression"] |= {"C": 0.2}
    content["space"]["gradient_boosting"] |= {
        "max_iter": {"low": 5, "high": 20},
        "learning_rate": {"low": 0.1, "high": 0.3},
        "min_samples_leaf": {"low": 5, "high": 20},
        "max_features": {"low": 0.1, "high": 1.0},
    }
    return Baselines.model_validate(content), params.tune_model.model_copy(update={"folds": 3})


def challenge_score(died: np.ndarray, called: np.ndarray) -> float:
    return min(recall_score(died, called), precision_score(died, called))


def of(name: str, x: np.ndarray) -> np.ndarray:
    """One summary of all measurements, (N, M)."""
    return x.reshape(len(x), len(SUMMARIES), M)[:, SUMMARIES.index(name)]


def slowly(values: pd.Series, hours: int) -> dict[str, float]:
    """The summaries of one measurement of one stay, by pandas. values: indexed by the hour."""
    seen = values.dropna()
    if seen.empty:
        return dict.fromkeys(SUMMARIES, np.nan) | {"count": 0}
    late = seen[seen.index >= hours - hours // 4]
    hour = pd.Series(seen.index / hours, seen.index)
    return {
        "mean": seen.mean(),
        "deviation": seen.std(ddof=0),
        "trend": seen.cov(hour, ddof=0) if len(seen) > 1 else 0,
        "recent": late.mean() if len(late) else seen.iloc[-1],
        "last": seen.iloc[-1],
        "minimum": seen.min(),
        "maximum": seen.max(),
        "count": len(seen),
    }


@pytest.mark.parametrize(("hours", "share"), [(8, 0.4), (3, 0.7), (48, 0.05)])
def test_summaries_are_those_of_pandas_stay_by_stay(hours: int, share: float) -> None:
    rng = np.random.default_rng(hours)
    grid = rng.normal(100, 10, (12, hours, M)).astype(np.float32)
    grid[rng.random(grid.shape) > share] = np.nan
    grid[:, :, 3] = np.nan
    found = summaries(grid)
    assert found.dtype == np.float32
    for stay, j in np.ndindex(12, M):
        expected = slowly(pd.Series(grid[stay, :, j].astype(float)), hours)
        for name, value in expected.items():
            np.testing.assert_allclose(
                of(name, found)[stay, j], value, rtol=1e-6, atol=1e-6, err_msg=name
            )


def test_summaries_by_hand() -> None:
    grid = np.full((1, 4, M), np.nan, np.float32)
    grid[0, :3, 2] = [1.0, np.nan, 5.0]
    by_hand = {
        "mean": 3, "deviation": 2, "trend": 0.5, "recent": 5, "last": 5,
        "minimum": 1, "maximum": 5, "count": 2,
    }  # fmt: skip
    assert {name: of(name, summaries(grid))[0, 2] for name in SUMMARIES} == by_hand
    grid[0, 3, 2] = 4
    assert of("recent", summaries(grid))[0, 2] == 4  # the last quarter is the last hour


def test_equal_values_have_no_deviation_and_no_trend_at_all() -> None:
    """Rounding would otherwise tell gradient boosting how many equal values there are."""
    grid = np.full((1, 48, M), np.float32(7.4))
    grid[0, ::3, ::2] = np.nan
    assert not of("deviation", summaries(grid)).any()
    assert not of("trend", summaries(grid)).any()


def test_the_summaries_of_the_network_are_among_those_of_the_baselines() -> None:
    _, grid = make_cohort()
    seen = np.isfinite(grid)
    own, missing = summarise(
        torch.from_numpy(np.nan_to_num(grid).astype(np.float64)),
        torch.from_numpy(seen.astype(np.float64)),
        torch.zeros(len(grid), 0, dtype=torch.float64),
    )
    network = own.masked_fill(missing, torch.nan).numpy().reshape(len(grid), 6, M)
    x = summaries(grid)
    expected = {name: of(name, x) for name in ("mean", "deviation", "trend", "recent", "last")}
    expected["deviation"] = np.sqrt(expected["deviation"] ** 2 + SMALLEST_VARIANCE)
    expected["count"] = np.log1p(of("count", x))
    for i, (name, values) in enumerate(expected.items()):
        np.testing.assert_allclose(network[:, i], values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", BASELINES)
def test_a_signal_that_only_the_trend_shows_is_found(name: str, params: Params) -> None:
    """The values of those who die fall, then rise; the others' rise, then fall. They are the same
    values at other hours: all summaries except the trend tell nothing."""
    cohort, grid = make_cohort(stays=480)
    died, rng = cohort["died"].to_numpy(), np.random.default_rng(1)
    grid[:] = rng.normal(100, 1, grid.shape)
    wave = np.array([0, -6, -6, 0, 6, 6, 0, 0])
    grid[:, :, 5] += np.where(died[:, None], wave, -wave)
    prediction = predict(name, grid, cohort, (), *make_options(params), SEED)
    assert roc_auc_score(died, prediction.log_odds) > 0.95
    x = summaries(grid)
    others = [of(s, x)[:, [5]] for s in SUMMARIES if s != "trend"]
    blind = baselines.fitted(
        name,
        getattr(make_options(params)[0].first, name).model_dump(),
        np.concatenate(others, axis=1),
        died,
        np.arange(len(died)) < 240,
        SEED,
    )
    assert roc_auc_score(died[240:], blind[240:]) < 0.7


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_learn_out_of_fold(name: str, params: Params) -> None:
    cohort, grid = make_cohort()
    # a measurement that the source does not have, as calcium in the Challenge
    grid[..., 1] = np.nan
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    shared = ((), *make_options(params), SEED)
    found = predict(name, grid, cohort, *shared)
    for chosen in (fold >= 0, fold == -1):
        assert roc_auc_score(died[chosen], found.log_odds[chosen]) > 0.75
    assert 0 < found.predicted.mean() < 0.6
    reversed_labels = cohort.assign(died=died ^ (fold == 0))
    other = predict(name, grid, reversed_labels, *shared)
    # its own labels were not learned from
    assert roc_auc_score(died[fold == 0], other.log_odds[fold == 0]) > 0.6


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_read_the_static_inputs_and_learn_from_the_stays_allowed(
    name: str, params: Params
) -> None:
    """Only the sex tells who dies, and the labels of the other stays say the opposite."""
    cohort, grid = make_cohort()
    grid[:] = np.random.default_rng(0).normal(100, 10, grid.shape)
    grid[:, :, 3:] = np.nan
    cohort["sex"] = np.where(cohort["died"], "F", "M")
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    learn = np.arange(len(cohort)) % 3 > 0
    wrong = cohort.assign(died=np.where(learn | (fold < 0), died, ~died))
    options = make_options(params, trials=3)
    seeing = predict(name, grid, wrong, ("sex",), *options, SEED, learn)
    assert roc_auc_score(died[fold < 0], seeing.log_odds[fold < 0]) > 0.95
    blind = predict(name, grid, cohort, (), *make_options(params), SEED)
    assert roc_auc_score(died[fold < 0], blind.log_odds[fold < 0]) < 0.75


@pytest.mark.parametrize("name", BASELINES)
def test_one_threshold_decides_with_the_best_score_of_all_stays_out_of_fold(
    name: str, params: Params
) -> None:
    cohort, grid = make_cohort()
    died, training = cohort["died"].to_numpy(), (cohort["fold"] >= 0).to_numpy()
    log_odds, _, *decisions = predict(name, grid, cohort, (), *make_options(params), SEED)
    z, y = log_odds[training], died[training]
    for decided, score in zip(decisions, (f1_score, challenge_score), strict=True):
        assert log_odds[~decided].max() < log_odds[decided].min()
        best = max(score(y, z > t) for t in [z.min() - 1, *z[z < z.max()]])
        assert score(y, decided[training]) == pytest.approx(best)


@pytest.mark.parametrize("name", BASELINES)
def test_a_test_stay_has_the_mean_of_the_members_log_odds(name: str, params: Params) -> None:
    cohort, grid = make_cohort()
    options, folds = make_options(params)
    died, fold = cohort["died"].to_numpy(), cohort["fold"].to_numpy()
    found = predict(name, grid, cohort, ("age",), options, folds, SEED).log_odds
    members = []
    for k in range(3):
        learn = (fold >= 0) & (fold != k)
        x = np.c_[summaries(grid), fit_statics(cohort[learn], ("age",)).apply(cohort)]
        settings = getattr(options.first, name).model_dump()
        members.append(baselines.fitted(name, settings, x, died, learn, SEED))
        np.testing.assert_array_equal(found[fold == k], members[k][fold == k])
    np.testing.assert_allclose(found[fold < 0], np.mean(members, axis=0)[fold < 0], rtol=1e-12)


def test_gradient_boosting_is_that_of_scikit_learn_with_the_settings(params: Params) -> None:
    cohort, grid = make_cohort()
    died, learn = cohort["died"].to_numpy(), np.arange(len(cohort)) % 2 == 0
    settings = {
        "learning_rate": 0.2, "max_iter": 7, "max_leaf_nodes": 5, "min_samples_leaf": 9,
        "l2_regularization": 3.0, "max_features": 0.4,
    }  # fmt: skip
    x = summaries(grid)
    expected = HistGradientBoostingClassifier(random_state=3, **settings).fit(x[learn], died[learn])
    found = baselines.fitted("gradient_boosting", settings, x, died, learn, 3)
    np.testing.assert_allclose(found, expected.decision_function(x))
    assert (found != baselines.fitted("gradient_boosting", settings, x, died, learn, 4)).any()


def test_logistic_regression_is_at_its_optimum() -> None:
    """The gradient of the penalised loss is 0 to the last digits, so they depend on no CPU."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 30)).astype(np.float32)
    died, every = rng.random(200) < 0.3, np.ones(200, bool)
    C = 0.05
    z = baselines.fitted("logistic_regression", {"C": C}, x, died, every, 0)
    clipped = np.clip(x, *np.percentile(x, (1, 99), axis=0)).astype(float)
    standard = (clipped - clipped.mean(0)) / clipped.std(0)
    weights = np.linalg.lstsq(np.c_[standard, np.ones(200)], z, rcond=None)[0]
    residual = 1 / (1 + np.exp(-z)) - died
    np.testing.assert_allclose(residual.sum(), 0, atol=1e-5)
    np.testing.assert_allclose(C * standard.T @ residual + weights[:-1], 0, atol=1e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_the_search_takes_the_lowest_held_out_loss(
    name: str, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third settings tried predict the outcome itself: they win."""
    cohort, grid = make_cohort()
    tried: list[dict[str, Any]] = []

    def invented(
        _: str, settings: dict[str, Any], x: np.ndarray, died: np.ndarray, *__: Any
    ) -> np.ndarray:
        if settings not in tried:
            tried.append(settings)
        sign = 1 if tried.index(settings) == 2 else -1
        return sign * np.where(died, 3.0, -3.0)

    monkeypatch.setattr(baselines, "fitted", invented)
    monkeypatch.setattr(baselines, "delayed", in_order)
    monkeypatch.setattr(baselines, "workers", lambda: lambda jobs: [job() for job in jobs])
    options, folds = make_options(params, trials=5)
    found = search(name, grid, cohort, (), options, folds, SEED)
    assert len(tried) == 5
    assert found == tried[2]
    assert tried[0] == getattr(options.first, name).model_dump()  # those of `first` come first


def in_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """As joblib.delayed, for a call in this process."""
    return lambda *arguments: lambda: function(*arguments)


@pytest.mark.parametrize("name", BASELINES)
def test_a_search_never_ends_behind_the_settings_given(name: str, params: Params) -> None:
    """No trials, or one: the settings of `first`. As many as the network's by default."""
    cohort, grid = make_cohort()
    for trials in (0, 1, None):
        options, folds = make_options(params)
        options = options.model_copy(update={"trials": trials})
        folds = folds.model_copy(update={"trials": 1})
        found = search(name, grid, cohort, (), options, folds, SEED)
        assert found == getattr(options.first, name).model_dump()
    options = make_options(params, trials=4)
    assert search(name, grid, cohort, (), *options, SEED) == search(
        name, grid, cohort, (), *options, SEED
    )


@pytest.mark.parametrize("name", BASELINES)
def test_the_test_stays_have_no_part_in_search_and_predictions_out_of_fold(
    name: str, params: Params
) -> None:
    cohort, grid = make_cohort()
    test = (cohort["fold"] < 0).to_numpy()
    options = make_options(params, trials=3)
    before = predict(name, grid, cohort, ("age", "icu_type"), *options, SEED)
    absurd = cohort.assign(
        died=cohort["died"] ^ test,
        age=cohort["age"].where(~test, 1e6),
        icu_type=cohort["icu_type"].where(~test, "nowhere"),
    )
    values = grid.copy()
    values[test] = 1e9
    after = predict(name, values, absurd, ("age", "icu_type"), *options, SEED)
    for field in Prediction._fields:
        assert getattr(before, field)[~test].tobytes() == getattr(after, field)[~test].tobytes()
    assert (before.log_odds[test] != after.log_odds[test]).any()


def test_settings_found_are_used_without_another_search(params: Params) -> None:
    options, _ = make_options(params, trials=9)
    found = options.found({"logistic_regression": {"C": 0.25}})
    assert (found.trials, found.first.logistic_regression.C) == (0, 0.25)
    assert found.first.gradient_boosting == options.first.gradient_boosting
