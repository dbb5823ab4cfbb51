"""What benchmarks/models.py reports: standard errors, verdicts and tables, against values by hand."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_world import make_cohort, small
from sklearn.metrics import (
    average_precision_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from icu_adversarial.config.baselines import Baselines
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.measurements import SETS
from icu_adversarial.model.scores import challenge_threshold

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import attack_victims
import model_tables
import models
import paired
from paired import Difference

N, MEMBERS = 300, 5


def make_models(
    seed: int, signal: float, died: np.ndarray, spread: float = 0.3
) -> list[np.ndarray]:
    """Log odds of one model trained with MEMBERS seeds: a part that all have, and their own."""
    rng = np.random.default_rng(seed)
    common = signal * died + rng.normal(size=len(died))
    return [common + spread * rng.normal(size=len(died)) for _ in range(MEMBERS)]


def make_died(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(N) < 0.3


def test_both_errors_and_their_degrees_of_freedom_by_hand() -> None:
    found = paired.with_both_errors(0.02, 0.003, [0.01, 0.03])
    # variance over trainings: 0.0002 / 2; over test stays: 0.000009
    assert found.error == pytest.approx(np.sqrt(0.000109))
    assert found.freedom == pytest.approx((0.000109 / 0.0001) ** 2)
    alone = paired.with_both_errors(0.02, 0.003, [0.02, 0.02])
    assert (alone.error, alone.freedom) == (0.003, np.inf)
    assert alone.interval == pytest.approx((0.02 - 1.96 * 0.003, 0.02 + 1.96 * 0.003), abs=1e-6)


def test_interval_and_p_value_are_those_of_students_t() -> None:
    found = Difference(0.5, 0.2, 4)
    assert found.interval == pytest.approx((0.5 - 2.776445 * 0.2, 0.5 + 2.776445 * 0.2), abs=1e-6)
    assert Difference(2.776445, 1, 4).p_value == pytest.approx(0.05, abs=1e-6)
    assert Difference(-2.776445, 1, 4).p_value == pytest.approx(0.05, abs=1e-6)
    assert Difference(0, 0, np.inf).p_value == 1


def test_only_an_interval_without_0_shows_a_difference() -> None:
    verdicts = [Difference(value, 0.1, 4).verdict for value in (0.3, 0.27, -0.27, -0.3, 0)]
    assert verdicts == ["higher", "not shown", "not shown", "lower", "not shown"]


def test_error_over_folds_is_corrected_for_what_they_share() -> None:
    folds = [[Difference(v, 9, 9), Difference(-v, 9, 9)] for v in (0.01, 0.02, 0.03, 0.04, 0.05)]
    auroc, auprc = paired.over_folds(folds, test_over_train=0.25)
    assert auroc == pytest.approx((0.03, np.sqrt((0.2 + 0.25) * 0.00025), 4))
    assert auprc == pytest.approx((-0.03, auroc.error, 4))


def test_mean_of_two_directions_by_hand() -> None:
    (found,) = paired.over_directions([[Difference(1, 3, 4)], [Difference(2, 4, 4)]])
    # variances 9 / 4 and 16 / 4
    freedom = 6.25**2 / (2.25**2 / 4 + 4**2 / 4)
    assert found == pytest.approx((1.5, 2.5, freedom))


def test_errors_of_single_models_and_of_averages_against_a_slow_reference() -> None:
    died = make_died()
    a, b = make_models(1, 2, died), make_models(2, 1, died)
    scorers = (roc_auc_score, average_precision_score)
    rng = np.random.default_rng(3)
    draws = [rng.integers(0, N, N) for _ in range(300)]
    for i, scorer in enumerate(scorers):

        def of(
            x: np.ndarray, y: np.ndarray, rows: Any = slice(None), scorer: Any = scorer
        ) -> float:
            return scorer(died[rows], x[rows]) - scorer(died[rows], y[rows])

        single = paired.of_single_models(died, a, b)[i]
        each = np.array([of(x, y) for x, y in zip(a, b, strict=True)])
        assert single.value == pytest.approx(each.mean())
        pairs = zip(a, b, strict=True)
        test = np.mean([np.std([of(x, y, rows) for rows in draws[:100]]) for x, y in pairs])
        expected = np.sqrt(test**2 + each.var(ddof=1) / MEMBERS)
        assert single.error == pytest.approx(expected, rel=0.2)

        average = paired.of_averages(died, a, b)[i]
        assert average.value == pytest.approx(of(np.mean(a, 0), np.mean(b, 0)))
        without = np.array(
            [
                of(np.mean(a[:k] + a[k + 1 :], 0), np.mean(b[:k] + b[k + 1 :], 0))
                for k in range(MEMBERS)
            ]
        )
        jackknife = (MEMBERS - 1) / MEMBERS * ((without - without.mean()) ** 2).sum()
        test = np.std([of(np.mean(a, 0), np.mean(b, 0), rows) for rows in draws])
        assert average.error == pytest.approx(np.sqrt(test**2 + jackknife), rel=0.15)


def test_the_variance_of_the_trainings_is_part_of_the_error() -> None:
    died = make_died()
    calm, wild = (
        paired.of_single_models(died, make_models(1, 2, died, spread), make_models(2, 2, died, 0))
        for spread in (0, 3)
    )
    assert calm[0].freedom == np.inf
    assert wild[0].freedom < 1000


def cells(lines: list[str]) -> list[list[str]]:
    """Of the rows of the Markdown tables, without the rule under the head."""
    rows = "\n".join(lines).splitlines()
    split = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if row[:1] == "|"]
    assert len({len(row) for row in split}) == 1
    return [row for row in split if set("".join(row)) != {"-"}]


def make_predictions() -> tuple[model_tables.Predictions, list[np.ndarray]]:
    """A network as good as gradient boosting, on two directions and two folds."""
    died = [make_died(i) for i in range(4)]
    z = {
        "network": [make_models(10 + i, 2, d) for i, d in enumerate(died)],
        "gradient_boosting": [make_models(10 + i, 2, d) for i, d in enumerate(died)],
        "logistic_regression": [make_models(30 + i, 0.5, d, 0) for i, d in enumerate(died)],
    }
    return z, died


LOGISTIC = "one network - one logistic regression"
PROTOCOLS = [
    model_tables.Protocol("A → B", [0], 1.0),
    model_tables.Protocol("B → A", [1], 1.0),
    model_tables.Protocol("folds", [2, 3], 1.0),
]


def test_single_models_and_averages_have_columns_of_their_own() -> None:
    z, died = make_predictions()
    limits = {name: [1.0, 0.5, 0.5, 0.5] for name in z}
    head, first, *_ = cells(list(model_tables.score_rows(z, limits, PROTOCOLS, died, MEMBERS)))
    assert head == [
        "",
        "one network",
        "one gradient boosting",
        "logistic regression",
        "average of 5: network",
        "average of 5: gradient boosting",
    ]
    one = np.mean([roc_auc_score(died[0], v) for v in z["network"][0]])
    average = roc_auc_score(died[0], np.mean(z["network"][0], axis=0))
    assert first[1].startswith(f"{one:.3f} / ")
    assert first[4].startswith(f"{average:.3f} / ")
    assert average > one + 0.001
    scored = []
    for log_odds in (*z["network"][0], np.mean(z["network"][0], axis=0)):
        called = log_odds > 1
        scored.append(min(recall_score(died[0], called), precision_score(died[0], called)))
    assert first[1].endswith(f" / {np.mean(scored[:-1]):.3f}")
    rows = cells(list(model_tables.score_rows(z, limits, PROTOCOLS, died, MEMBERS)))
    a_to_b, b_to_a, both = (np.array([float(v) for v in row[1].split(" / ")]) for row in rows[1:4])
    assert rows[3][0] == model_tables.DIRECTIONS
    assert both == pytest.approx((a_to_b + b_to_a) / 2, abs=1.1e-3)
    assert first[4].endswith(f" / {scored[-1]:.3f}")


def test_differences_say_what_is_shown() -> None:
    z, died = make_predictions()
    _, *rows = cells(list(model_tables.difference_rows(z, PROTOCOLS, died, MEMBERS)))
    verdicts = {(protocol, models): row[1::2] for protocol, models, *row in rows}
    assert len(verdicts) == len(rows) == 12
    for (protocol, compared), found in verdicts.items():
        if "boosting" in compared:
            assert found == ["not shown", "not shown"], (protocol, compared)
    assert verdicts["A → B", LOGISTIC] == ["higher", "higher"]
    both, a, b = (
        float(next(row for name, models, *row in rows if (name, models) == (n, LOGISTIC))[0][:7])
        for n in (model_tables.DIRECTIONS, "A → B", "B → A")
    )
    assert both == pytest.approx((a + b) / 2, abs=1.1e-4)


def test_ablations_are_corrected_and_say_where_nothing_is_shown() -> None:
    died = [make_died(0), make_died(1)]
    z = {
        "the network": [make_models(i, 2, d) for i, d in enumerate(died)],
        "nothing": [make_models(i, 2, d) for i, d in enumerate(died)],
        "noise": [
            [v + 1e-3 * np.sin(v * 1e4) for v in make_models(i, 2, d)] for i, d in enumerate(died)
        ],
        "worse": [make_models(i, 0.3, d) for i, d in enumerate(died)],
    }
    limits = {name: [1.0, 0.5] for name in z} | {"worse": [9.0, 9.0]}
    lines = list(model_tables.ablation_rows(z, limits, died, MEMBERS))
    assert "the 3 changes" in " ".join(lines)
    head, *rows = cells(lines)
    assert head[1:4] == ["AUROC", "AUPRC", "Challenge"]
    found = {name: row for name, *row in rows}
    assert found["the network"][3:] == [""] * 4
    for name in ("nothing", "noise"):
        assert found[name][4::2] == ["not shown", "not shown"]
    assert found["worse"][3].startswith("-0.")
    assert float(found["worse"][4]) < 0.05
    scored = [
        min(recall_score(y, v > limit), precision_score(y, v > limit))
        for y, models, limit in zip(died, z["the network"], (1, 0.5), strict=True)
        for v in models
    ]
    assert found["the network"][2] == f"{np.mean(scored):.3f}"
    assert found["worse"][2] == "0.000"  # no stay is above the threshold
    # Holm: the smallest of three p-values times three
    a = paired.over_directions(
        [paired.of_single_models(d, z["worse"][i], z["the network"][i]) for i, d in enumerate(died)]
    )
    assert float(found["worse"][4]) == pytest.approx(3 * a[0].p_value, abs=6e-4)


def test_the_threshold_of_each_variant_is_best_on_its_own_training_stays(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, grid = make_cohort()
    half = np.arange(len(cohort)) % 2 == 0
    both = [models.Split("first", half, ~half), models.Split("second", ~half, half)]
    rank = {name: np.random.default_rng(i).normal(size=len(cohort)) for i, name in enumerate("ab")}
    rank = {name: values + cohort["died"].to_numpy() for name, values in rank.items()}

    def scored(variants: dict[str, object], *arguments: object) -> model_tables.Predictions:
        *_, chosen, members = arguments
        assert members == 1
        return {name: [[rank[name][split.test]] for split in chosen] for name in variants}

    monkeypatch.setattr(models, "networks", scored)
    limits = models.limits_of({"a": (), "b": ()}, params, cohort, grid, both)
    died = cohort["died"].to_numpy()
    for name in "ab":
        expected = [challenge_threshold(died[s.train], rank[name][s.train]) for s in both]
        assert limits[name] == expected
    assert limits["a"] != limits["b"]


def test_a_baseline_is_tuned_and_trained_without_the_test_stays(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # in this process
    cohort, grid = make_cohort()
    content = params.baselines.model_dump() | {"trials": 3}
    content["first"]["gradient_boosting"] |= {"max_iter": 10, "min_samples_leaf": 5}
    content["space"]["gradient_boosting"] |= {
        "max_iter": {"low": 5, "high": 20},
        "min_samples_leaf": {"low": 5, "high": 10},
    }
    options = Baselines.model_validate(content)
    small = params.model_copy(update={"baselines": options})
    half = np.arange(len(cohort)) % 2 == 0
    split = models.Split("half", half, ~half)
    before, limit = models.baseline("gradient_boosting", small, cohort, grid, split, 2)
    assert len(before) == 2
    assert (before[0] != before[1]).any()  # each seed its own trees
    other = cohort.assign(died=cohort["died"] ^ ~half)
    after, again = models.baseline("gradient_boosting", small, other, grid, split, 2)
    np.testing.assert_array_equal(before, after)
    assert limit == again
    same, _ = models.baseline("logistic_regression", small, cohort, grid, split, 2)
    np.testing.assert_array_equal(same[0], same[1])


def test_the_threshold_is_the_best_of_the_training_stays_by_models_of_other_parts(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    cohort, grid = make_cohort()
    options = params.baselines.model_copy(update={"trials": 0})
    small = params.model_copy(update={"baselines": options})
    half = np.arange(len(cohort)) % 2 == 0
    split = models.Split("half", half, ~half)
    parts = models.parts_of(split, cohort)
    assert len(parts) == models.FOLDS
    assert (sum(part.test.astype(int) for part in parts) == half).all()
    assert all((part.train ^ part.test == half).all() for part in parts)
    _, limit = models.baseline("logistic_regression", small, cohort, grid, split, 2)
    z, died = np.full(len(cohort), np.nan), cohort["died"].to_numpy()
    for part in parts:
        (z[part.test], *_), _ = models.baseline(
            "logistic_regression", small, cohort, grid, models.Split("part", *part[1:]), 2
        )
    y, own = died[half], z[half]
    called = own > limit
    best = max(min(recall_score(y, own >= v), precision_score(y, own >= v)) for v in own)
    assert min(recall_score(y, called), precision_score(y, called)) == pytest.approx(best)


def test_measurements_and_static_inputs_can_be_other_ones_than_those_of_params_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done: list[Params] = []

    def prepared(params: Params) -> None:
        done.append(params)
        paths.COHORT.parent.mkdir(parents=True, exist_ok=True)
        paths.COHORT.touch()

    monkeypatch.setattr(attack_victims.extract, "run", prepared)
    monkeypatch.setattr(attack_victims.preprocess, "run", prepared)
    chosen = attack_victims.prepare(tmp_path, ["extended"], ["age", "weight"])
    assert done == [chosen, chosen]
    assert chosen.names == SETS["extended"]
    assert chosen.model.static_inputs == ("age", "weight")
    assert chosen.extract.source == "challenge2012"
    assert attack_victims.prepare(tmp_path, ["extended"]).names == chosen.names
    assert len(done) == 2  # what was prepared is used again
    with pytest.raises(SystemExit, match="was prepared with other measurements"):
        attack_victims.prepare(tmp_path, ["ph", "lactate"])
    with pytest.raises(SystemExit, match="was prepared with other measurements"):
        attack_victims.prepare(tmp_path)
    with pytest.raises(ValueError, match="unknown measurements: phh"):
        attack_victims.prepare(tmp_path, ["phh"])


def test_the_table_of_all_models_has_the_official_score(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setattr(models, "FOLDS", 2)
    cohort, grid = make_cohort(stays=120)
    chosen = small(params, baselines={"trials": 0}, train={"epochs": 1, "evaluate_every": 1})
    half = np.arange(len(cohort)) % 2 == 0
    every = [models.Split("A → B", half, ~half)]
    models.compare(chosen, cohort, grid, every, ["network", "logistic"], 2)
    table, _ = capsys.readouterr().out.split("\nDifference")
    head, row = cells(table.splitlines())
    assert head == ["", "one network", "logistic regression", "average of 2: network"]
    for cell in row[1:]:
        auroc, auprc, score = (float(value) for value in cell.split(" / "))
        assert 0 < auprc < auroc < 1
        assert 0 < score < 1
