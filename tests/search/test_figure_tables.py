"""The tables behind the figures of a search: what is shown, and when there is nothing to show."""

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from icu_adversarial.search.figures import COLUMNS, FEWEST_TRIALS, NOTHING, figure_tables

KAPPA = optuna.distributions.FloatDistribution(0, 2)
RATE = optuna.distributions.FloatDistribution(1e-4, 1, log=True)
METHOD = optuna.distributions.CategoricalDistribution(("adam", "sgd"))


def trial(number: int, value: float | None, **attributes: Any) -> FrozenTrial:
    """A complete trial, or a pruned one without a value."""
    return create_trial(
        state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
        value=value,
        params={
            "kappa": (number % 7) / 7,
            "rate": 10 ** -(number % 4),
            "optimizer": ("adam", "sgd")[number % 2],
        },
        distributions={"kappa": KAPPA, "rate": RATE, "optimizer": METHOD},
        user_attrs=attributes,
        intermediate_values={0: 3.0} if value is None else {},
    )


def notes(trials: list[FrozenTrial], attribute: str | None = None) -> dict[str, str]:
    """The sentences of the tables with nothing to show."""
    found = {}
    for name, table in figure_tables(trials, "maximize", attribute).items():
        assert list(table.columns) == COLUMNS[name]
        if table["note"].notna().any():
            assert len(table) == 1
            assert table.drop(columns="note").isna().all(axis=None)
            found[name] = table["note"][0]
    return found


def test_values_equal_to_within_a_thousandth_are_not_drawn() -> None:
    """An axis from 1.0078015 to 1.0078020 shows nothing but rounding."""
    equal = [trial(i, 1.0078015 + i * 2e-8) for i in range(25)]
    sentence = f"{NOTHING}the 25 complete trials have the same value to within 0.1 %"
    assert notes(equal) == dict.fromkeys(COLUMNS, sentence)
    assert notes([trial(i, 1 + i / 24 * 1.1e-3) for i in range(25)]) == {}
    assert set(notes([trial(i, 1 + i / 24 * 0.9e-3) for i in range(25)])) == set(COLUMNS)


def test_importances_need_twenty_complete_trials() -> None:
    few = [trial(i, 1.0 + i) for i in range(FEWEST_TRIALS - 1)] + [trial(99, None)] * 9
    assert notes(few) == {"importance": f"{NOTHING}19 complete trials; importances need 20"}
    assert notes([*few, trial(20, 7.5)]) == {}


def test_one_complete_trial_and_none_are_not_a_search() -> None:
    assert set(notes([])) == set(COLUMNS)
    assert notes([])["history"] == f"{NOTHING}no search was run"
    one = notes([trial(0, 0.5), trial(1, None)])
    assert set(one) == set(COLUMNS)
    assert one["history"].startswith(f"{NOTHING}of 2 trials, 1 completed with a value")


def test_a_norm_is_shown_where_the_objective_is_a_robust_one() -> None:
    """The best trial is the one of the best value: here the first has the smaller norm."""
    trials = [
        trial(0, 0.9, median_l1=1.5, success_rate=0.9),
        trial(1, None),
        trial(2, 1.004, median_l1=3.5, success_rate=1.0),
        trial(3, 1.002, median_l1=4.5, success_rate=1.0),
        trial(4, 0.0, median_l1=None, success_rate=0.0),  # nothing was flipped
    ]
    tables = figure_tables(trials, "maximize", "median_l1")
    history = tables["history"]
    assert history["value"].to_numpy() == pytest.approx(
        [1.5, np.nan, 3.5, 4.5, np.nan], nan_ok=True
    )
    assert history["best"].tolist() == [1.5, 1.5, 3.5, 3.5, 3.5]
    assert history["success_rate"].dropna().tolist() == [0.9, 1.0, 1.0, 0.0]
    assert set(history["quantity"]) == {"median L1 of the flipped stays (model input units)"}
    kappa = tables["slice"].query("parameter == 'kappa'")
    assert kappa["value"].dropna().tolist() == [1.5, 3.5, 4.5]
    rate = tables["slice"].query("parameter == 'rate'")
    assert rate["setting"].tolist() == [1, 0.1, 0.01, 0.001, 1]
    assert tables["slice_choice"]["setting"].tolist() == ["adam", "sgd", "adam", "sgd", "adam"]


def test_settings_have_their_real_values_and_a_scale() -> None:
    """Exponents are powers of two, and whole numbers are marked, so that their ticks are whole."""
    whole = optuna.distributions.IntDistribution
    drawn = {
        "log2_n_lstm": (5, whole(3, 7)),
        "patience": (4, whole(2, 6)),
        "candidates": (8, whole(1, 64, log=True)),
        "n_fc": (16, optuna.distributions.CategoricalDistribution((0, 16))),
        "cap": (0.5, optuna.distributions.CategoricalDistribution((0.5, 1.0))),
        "kappa": (0.25, KAPPA),
        "rate": (0.01, RATE),
    }
    trials = [
        create_trial(
            value=float(value),
            params={name: setting for name, (setting, _) in drawn.items()},
            distributions={name: distribution for name, (_, distribution) in drawn.items()},
        )
        for value in (1, 2)
    ]
    table = figure_tables(trials, "minimize")["slice"].query("trial == 0").set_index("parameter")
    assert table["setting"].to_dict() == {
        **{"n_lstm": 32, "patience": 4, "candidates": 8, "n_fc": 16},
        **{"cap": 0.5, "kappa": 0.25, "rate": 0.01},
    }
    assert table["scale"].to_dict() == {
        **{"n_lstm": "log2", "patience": "whole", "candidates": "log2", "n_fc": "whole"},
        **{"cap": "number", "kappa": "number", "rate": "log10"},
    }


def test_equal_values_with_different_norms_are_drawn() -> None:
    """The objective counts the norm with a weight of less than one stay."""
    trials = [trial(i, 1.0078, median_l0=1.0 + i % 7) for i in range(FEWEST_TRIALS)]
    assert notes(trials, "median_l0") == {}
    importance = figure_tables(trials, "maximize", "median_l0")["importance"]
    assert importance.set_index("parameter")["importance"]["kappa"] > 0.9  # it is i % 7 too


def test_pruned_trials_have_no_value() -> None:
    history = figure_tables([trial(0, 0.5), trial(1, None), trial(2, 0.7)], "maximize")["history"]
    assert history["value"].isna().tolist() == [False, True, False]
    assert history["best"].tolist() == [0.5, 0.5, 0.7]


def strongest_is_named(trials: int, seed: int) -> bool:
    """Whether the largest importance is that of the parameter with twice the effect of the next."""
    effects = (1, 0.5, 0.5, 0.25, 0.25, 0.1)
    noise = np.random.default_rng(seed)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(
        lambda t: (
            sum(e * t.suggest_float(f"x{i}", 0, 1) for i, e in enumerate(effects))
            + 0.1 * noise.normal()
        ),
        n_trials=trials,
    )
    shares = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    return next(iter(shares)) == "x0"


def test_twenty_trials_name_the_strongest_parameter_and_six_do_not() -> None:
    assert sum(strongest_is_named(6, seed) for seed in range(8)) <= 4
    assert sum(strongest_is_named(FEWEST_TRIALS, seed) for seed in range(8)) >= 6
