import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from icu_adversarial.evaluate import curves, measures, statistics
from icu_adversarial.evaluate.predictions import from_table
from icu_adversarial.model import scores as ranking


def data(seed: int, n: int = 200, rounded: bool = False) -> tuple[np.ndarray, ...]:
    """Outcomes, log odds, probabilities, decisions, and decisions for challenge_score, which need not agree with each other."""
    rng = np.random.default_rng(seed)
    died = rng.random(n) < 0.3
    log_odds = rng.normal(died, 1)
    probability = np.clip(rng.normal(0.3 + 0.2 * died, 0.2), 0, 1)
    if rounded:
        log_odds, probability = log_odds.round(), probability.round(1)  # many ties
    return died, log_odds, probability, probability > 0.4, probability > 0.5


@given(st.integers(0, 10_000), st.booleans())
def test_scores_are_those_of_scikit_learn_with_weights(seed: int, rounded: bool) -> None:
    died, log_odds, probability, predicted, challenge = data(seed, rounded=rounded)
    weight = np.random.default_rng(seed).integers(0, 4, (2, len(died))).astype(float)
    ours = measures.scores(died, log_odds, probability, predicted, challenge, weight)
    for row, w in enumerate(weight):
        expected = {
            "auroc": metrics.roc_auc_score(died, log_odds, sample_weight=w),
            "auprc": metrics.average_precision_score(died, log_odds, sample_weight=w),
            "f1": metrics.f1_score(died, predicted, sample_weight=w),
            "challenge_score": min(
                metrics.recall_score(died, challenge, sample_weight=w),
                metrics.precision_score(died, challenge, sample_weight=w),
            ),
            "precision": metrics.precision_score(died, predicted, sample_weight=w),
            "recall": metrics.recall_score(died, predicted, sample_weight=w),
            "accuracy": metrics.accuracy_score(died, predicted, sample_weight=w),
            "brier": metrics.brier_score_loss(died, probability, sample_weight=w),
            "loss": metrics.log_loss(died, np.clip(probability, 1e-7, 1 - 1e-7), sample_weight=w),
        }
        for name, value in expected.items():
            assert ours[name][row] == pytest.approx(value, abs=1e-9), name


def test_probabilities_of_any_log_odds_without_a_warning() -> None:
    z = np.array([-1e4, -745.0, -1.0, 0.0, 1.0, 1e4], np.float32)
    np.testing.assert_allclose(
        ranking.sigmoid(z), [0, 0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1], rtol=1e-12
    )


def test_calibration_error_by_hand() -> None:
    died = np.array([0, 1, 1, 1])
    probability = np.array(
        [0.12, 0.18, 0.9, 1.0]
    )  # two in [0.1, 0.2): 0.15 told, 0.5 seen; two in [0.9, 1]: 0.95 told, 1 seen
    decisions = probability > 0.5, probability > 0.5
    found = measures.scores(died, probability, probability, *decisions)
    assert found["calibration_error"][0] == pytest.approx(0.5 * 0.35 + 0.5 * 0.05)


def test_interval_contains_the_value_and_shrinks_with_the_number_of_subjects() -> None:
    widths = []
    for n in (100, 1600):
        died, log_odds, probability, predicted, challenge = data(1, n)
        result = measures.with_intervals(
            died, log_odds, probability, predicted, challenge, np.arange(n), resamples=300, seed=0
        )
        for name in measures.METRICS:
            assert (
                result[name]["low"] <= result[name]["value"] <= result[name]["high"]
                or name == "calibration_error"
            )
        widths.append(result["auroc"]["high"] - result["auroc"]["low"])
    assert 2.5 < widths[0] / widths[1] < 6.5  # sqrt(16) = 4


def test_bootstrap_draws_subjects_not_stays() -> None:
    """With every stay four times, intervals over subjects are as wide as without; over stays they would be half as wide."""
    died, log_odds, probability, predicted, challenge = data(2, 150)
    once = measures.with_intervals(
        died, log_odds, probability, predicted, challenge, np.arange(150), resamples=400, seed=0
    )
    four = measures.with_intervals(
        *(
            np.tile(v, 4)
            for v in (died, log_odds, probability, predicted, challenge, np.arange(150))
        ),
        resamples=400,
        seed=0,
    )
    for side in ("value", "low", "high"):
        assert four["auroc"][side] == pytest.approx(once["auroc"][side])


def test_intervals_are_the_same_however_many_resamples_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = (*data(4, 90), np.arange(90) // 2)
    whole = measures.with_intervals(*drawn, resamples=50, seed=3)
    monkeypatch.setattr(statistics, "DRAWN", 7 * 90)
    parts = measures.with_intervals(*drawn, resamples=50, seed=3)
    for name in measures.METRICS:
        assert parts[name] == pytest.approx(whole[name], rel=1e-12)


def test_one_class_only_gives_none_not_a_crash() -> None:
    result = measures.with_intervals(
        np.zeros(20, bool),
        np.linspace(-1, 1, 20),
        np.linspace(0, 1, 20),
        np.zeros(20, bool),
        np.zeros(20, bool),
        np.arange(20),
        resamples=10,
        seed=0,
    )
    assert result["auroc"] == {"value": None, "low": None, "high": None}
    assert result["accuracy"]["value"] == 1.0


@given(st.integers(0, 10_000), st.booleans())
def test_best_threshold_has_the_best_f1_of_all(seed: int, rounded: bool) -> None:
    died, _, probability, *_ = data(seed, 60, rounded)
    if not died.any():
        return
    threshold = ranking.best_threshold(died, probability)
    called = probability >= probability[:, None]  # a row for each threshold
    best = (2 * (called & died).sum(1) / (called.sum(1) + died.sum())).max()
    assert metrics.f1_score(died, probability > threshold) == pytest.approx(best)
    assert threshold not in probability


def test_challenge_score_by_hand() -> None:
    """Four deaths, three calls, two of them right: recall 2 / 4, precision 2 / 3. Six calls, four right: precision 4 / 6."""
    died = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    few, many = np.array([1, 1, 0, 0, 1, 0, 0, 0]), np.array([1, 1, 1, 1, 1, 1, 0, 0])
    p = np.full(8, 0.5)
    found = [measures.scores(died, p, p, many, d)["challenge_score"][0] for d in (few, many)]
    assert found == pytest.approx([2 / 4, 4 / 6])
    nobody = np.zeros(8, int)
    assert measures.scores(died, p, p, many, nobody)["challenge_score"][0] == 0
    assert np.isnan(measures.scores(nobody, p, p, many, nobody)["challenge_score"][0])


def test_challenge_threshold_by_hand() -> None:
    """Ranked: death, survivor, death, survivor, death. With three calls, recall and precision are 2 / 3; the best F1 has five calls."""
    z, died = np.array([4.0, 3.0, 2.0, 1.0, 0.0]), np.array([1, 0, 1, 0, 1])
    assert ranking.challenge_threshold(died, z) == 1.5
    assert ranking.best_threshold(died, z) == -1


@given(st.integers(0, 10_000), st.booleans())
def test_challenge_threshold_has_the_best_score_of_all(seed: int, rounded: bool) -> None:
    died, _, probability, *_ = data(seed, 60, rounded)
    if not died.any():
        return
    threshold = ranking.challenge_threshold(died, probability)
    called = probability >= probability[:, None]  # a row for each threshold
    hits = (called & died).sum(1)
    best = np.minimum(hits / died.sum(), hits / called.sum(1)).max()
    decided = probability > threshold
    found = measures.scores(died, probability, probability, decided, decided)
    assert found["challenge_score"][0] == pytest.approx(best)
    assert threshold not in probability


def test_no_test_stay_chooses_a_threshold() -> None:
    """Whatever happens on the test set, the decision out of fold is the one with the best score there."""
    died, log_odds, *_ = data(8, 300)
    held_out = np.arange(300) % 3 > 0
    table = pd.DataFrame({"split": np.where(held_out, "oof", "test"), "died": died})
    table = table.assign(logit_0=-log_odds, logit_1=0.0, probability=0.5, predicted=died)
    found = from_table(table, 0.7)
    other = from_table(table.assign(died=died ^ ~held_out), 0.7)
    np.testing.assert_array_equal(other.challenge, found.challenge)
    np.testing.assert_allclose(found.log_odds, log_odds + 0.7)
    limit = ranking.challenge_threshold(died[held_out], log_odds[held_out])
    np.testing.assert_array_equal(found.challenge, log_odds > limit)
    own = ranking.challenge_threshold(died[~held_out], log_odds[~held_out])
    assert (found.challenge != (log_odds > own)).any()


def test_curves_are_those_of_scikit_learn() -> None:
    died, log_odds, *_ = data(3, rounded=True)
    found = curves.rank_curves(died, log_odds)
    fpr, tpr, _ = metrics.roc_curve(died, log_odds, drop_intermediate=False)
    np.testing.assert_allclose(found["roc"], np.c_[fpr, tpr])
    precision, recall, _ = metrics.precision_recall_curve(died, log_odds)
    np.testing.assert_allclose(
        found["precision_recall"][["recall", "precision"]], np.c_[recall, precision][-2::-1]
    )
    assert (found["precision_recall"]["prevalence"] == died.mean()).all()
    many = curves.rank_curves(*data(4, 3000)[:2])["roc"]
    assert len(many) == curves.CURVE_POINTS
    assert many.iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [1, 1]]


def test_reliability_by_hand() -> None:
    """Of ten stays at 0.22, two died: Wilson's interval is 0.0567 to 0.5098 (Newcombe 1998)."""
    died = np.r_[np.ones(2), np.zeros(8), 1].astype(bool)
    table = curves.reliability(died, np.r_[np.full(10, 0.22), 0.95])
    assert table["stays"].tolist() == [10, 1]
    assert table["predicted"].tolist() == pytest.approx([0.22, 0.95])
    assert table["observed"].tolist() == [0.2, 1]
    assert table["low"].tolist() == pytest.approx([0.0567, 0.2065], abs=1e-4)
    assert table["high"].tolist() == pytest.approx([0.5098, 1], abs=1e-4)


@given(st.integers(0, 10_000), st.floats(0.1, 5), st.floats(-3, 3))
def test_a_monotone_transformation_of_the_probabilities_changes_no_rank_score(
    seed: int, power: float, shift: float
) -> None:
    """Not even one that makes them all equal; and one of the log odds changes nothing either."""
    died, log_odds, probability, predicted, challenge = data(seed, 60)
    if died.all() or not died.any():
        return
    before = measures.scores(died, log_odds, probability, predicted, challenge)
    for changed in (probability**power, np.full(60, 0.2), ranking.sigmoid(log_odds + shift)):
        after = measures.scores(died, log_odds, changed, predicted, challenge)
        assert after["auroc"] == before["auroc"]
        assert after["auprc"] == before["auprc"]
    moved = measures.scores(died, power * log_odds + shift, probability, predicted, challenge)
    assert moved["auroc"] == pytest.approx(before["auroc"])


def test_mean_sd_and_standard_error_over_folds() -> None:
    died, log_odds, probability, predicted, challenge = data(5, 300)
    fold = np.arange(300) % 4 - 1
    result = measures.over_folds(died, log_odds, probability, predicted, challenge, fold)
    each = [metrics.roc_auc_score(died[fold == k], log_odds[fold == k]) for k in range(3)]
    assert result["auroc"] == {
        "mean": pytest.approx(np.mean(each)),
        "sd": pytest.approx(np.std(each, ddof=1)),
        "standard_error": pytest.approx(np.std(each, ddof=1) * np.sqrt(1 / 3 + 1 / 2)),
    }
    half = np.arange(300) % 8 < 4
    fewer = measures.over_folds(died, log_odds, probability, predicted, challenge, fold, half)[
        "auroc"
    ]
    assert fewer["standard_error"] == pytest.approx(
        np.std(each, ddof=1) * np.sqrt(1 / 3 + 1), rel=0.02
    )


@pytest.mark.parametrize("n", [200, 3000])
def test_calibration_error_if_perfect_is_what_a_perfect_model_shows(n: int) -> None:
    """Outcomes that are drawn from the probabilities, by code of this test alone."""
    rng = np.random.default_rng(0)
    probability = rng.beta(1, 4, n)
    shown = []
    for _ in range(400):
        died, error = rng.random(n) < probability, 0.0
        for low in np.arange(0, 1, 0.1):
            inside = (probability >= low) & (probability < low + 0.1)
            error += abs((died[inside] - probability[inside]).sum()) / n
        shown.append(error)
    found = measures.error_if_perfect(probability)
    assert found.mean() == pytest.approx(np.mean(shown), rel=0.05)
    assert np.percentile(found, 97.5) == pytest.approx(np.percentile(shown, 97.5), rel=0.1)
    assert found.mean() == pytest.approx(0.05 if n == 200 else 0.0135, rel=0.3)


def test_corrected_standard_error_by_hand() -> None:
    """Variance of 1, 2, 3 is 1: with three folds, sqrt(1/3 + 1/2); uncorrected, sqrt(1/3)."""
    values = np.array([1.0, 2.0, 3.0])
    assert statistics.corrected_standard_error(values, 0.5) == pytest.approx(np.sqrt(5 / 6))
    assert statistics.corrected_standard_error(values, 0.0) == pytest.approx(np.sqrt(1 / 3))
    assert np.isnan(statistics.corrected_standard_error(values[:1], 0.5))


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: each at least the one before."""
    found = statistics.holm(np.array([0.04, 0.01, 0.03, 0.02]))
    np.testing.assert_allclose(found, [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(statistics.holm(np.array([0.9, 0.8])), [1, 1])


def test_paired_difference_is_that_of_the_scores_and_narrower_than_of_two_samples() -> None:
    died, _, a, *decisions = data(6, 300)
    b = a + np.random.default_rng(1).normal(0, 0.02, 300)  # nearly the same model
    found = statistics.paired_difference(died, a, b, np.arange(300), resamples=300, seed=0)
    for name, score in (
        ("auroc", metrics.roc_auc_score),
        ("auprc", metrics.average_precision_score),
    ):
        assert found[name]["value"] == pytest.approx(score(died, a) - score(died, b))
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    alone = measures.with_intervals(died, a, a, *decisions, np.arange(300), resamples=300, seed=0)
    assert (
        found["auroc"]["high"] - found["auroc"]["low"]
        < (alone["auroc"]["high"] - alone["auroc"]["low"]) / 4
    )
    width = found["auroc"]["high"] - found["auroc"]["low"]
    assert width == pytest.approx(3.92 * found["auroc"]["standard_error"], rel=0.15)


def test_a_model_differs_from_itself_by_nothing() -> None:
    died, _, a, *_ = data(7)
    found = statistics.paired_difference(died, a, a, np.arange(200) // 2, resamples=20, seed=0)
    assert found["auroc"] == {"value": 0, "low": 0, "high": 0, "standard_error": 0}
    nothing = statistics.paired_difference(np.zeros(200), a, a, np.arange(200), resamples=5, seed=0)
    assert set(nothing["auprc"].values()) == {None}
