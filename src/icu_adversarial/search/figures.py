"""A finished study as tables: its trials and the data of its figures. The tuning stages call it."""

from typing import Any, Literal

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from icu_adversarial.search.space import decode

Direction = Literal["minimize", "maximize"]
# fANOVA fits a random forest to the complete trials. In 40 simulated searches of six parameters,
# one parameter had twice the effect of the next. fANOVA gave it the largest importance in 25 % of
# the searches with 6 trials, in 68 % with 11, in 85 % with 20 and in 90 % with 30. A test repeats
# some of them.
FEWEST_TRIALS = 20
RESOLUTION = 1e-3  # values are called equal if they differ by less than this share of the largest
NOTHING = "Nothing to show: "
COLUMNS = {  # of the figures' tables
    "history": ["trial", "value", "state", "best", "success_rate", "quantity", "note"],
    "importance": ["parameter", "importance", "note"],
    "slice": ["trial", "value", "state", "parameter", "setting", "scale", "quantity", "note"],
    "slice_choice": ["trial", "value", "state", "parameter", "setting", "quantity", "note"],
}
QUANTITIES = {  # user attributes that a figure can show instead of the value, with their unit
    "median_l0": "median L0 of the flipped stays (perturbed cells)",
    "median_l1": "median L1 of the flipped stays (model input units)",
}


def trials_table(trials: list[FrozenTrial]) -> pd.DataFrame:
    """Make a table of the trials of a study, one row each.

    Args:
        trials: Ended trials (complete or pruned), in order.

    Returns:
        trial (0, 1, …), state (complete | pruned), value (of a pruned trial: its last report),
        last_step, one column per hyperparameter and one per user attribute.
    """
    rows = [
        {
            "trial": number,
            "state": t.state.name.lower(),
            "value": t.value,
            "last_step": max(t.intermediate_values, default=-1),
            **decode(t.params),
            **t.user_attrs,
        }
        for number, t in enumerate(trials)
    ]
    return pd.DataFrame(rows, columns=None if rows else ["trial", "state", "value", "last_step"])


def figure_tables(
    trials: list[FrozenTrial], direction: Direction, attribute: str | None = None
) -> dict[str, pd.DataFrame]:
    """Make the tables of a study's figures.

    A table with nothing to show has one row: `note` says why, and all other columns are empty.

    Args:
        trials: Ended trials, in order.
        direction: Whether a smaller or a larger value is better.
        attribute: A key of QUANTITIES. The figures then show this user attribute of each
            complete trial instead of its value; the value still decides which trial is best.

    Returns:
        By name, with the columns of COLUMNS. `history`: every trial; `best` is the shown quantity
        of the best trial so far. `importance`: the share of the variance of the shown quantity
        that each searched parameter explains (fANOVA, Hutter et al. 2014), over the complete
        trials. `slice` and `slice_choice`: the shown quantity against each setting that is a
        number or a choice. `scale` is that of the axis, as from `_scale`. A parameter with a single
        setting is left out.
    """
    shown = _history(trials, direction, attribute)
    slices = {"slice": _slices(shown, trials, False), "slice_choice": _slices(shown, trials, True)}
    tables = {"importance": _importance(trials, direction, attribute), **slices}
    missing = {
        "importance": "no parameter was searched",
        "slice": "no searched parameter is a number",
        "slice_choice": "no searched parameter is a choice between names",
    }
    why = _why_nothing(shown["value"].dropna().to_numpy(np.float64), len(trials))
    complete = int(shown["value"].notna().sum())
    if why is None and complete < FEWEST_TRIALS:
        missing["importance"] = f"{complete} complete trials; importances need {FEWEST_TRIALS}"
    for name, table in tables.items():
        reason = why or (missing.get(name) if table.empty else None)
        tables[name] = _with_note(name, table, reason)
    return {"history": history_table(trials, direction, attribute), **tables}


def history_table(
    trials: list[FrozenTrial], direction: Direction, attribute: str | None = None
) -> pd.DataFrame:
    """Make the table `history` alone. Arguments as for `figure_tables`."""
    table = _history(trials, direction, attribute)
    why = _why_nothing(table["value"].dropna().to_numpy(np.float64), len(trials))
    return _with_note("history", table, why)


def _with_note(name: str, table: pd.DataFrame, reason: str | None) -> pd.DataFrame:
    """The table `name`, or one row that says why there is nothing to show."""
    rows = pd.DataFrame([{"note": NOTHING + reason}]) if reason else table
    return rows.reindex(columns=COLUMNS[name])


def _history(
    trials: list[FrozenTrial], direction: Direction, attribute: str | None
) -> pd.DataFrame:
    """The shown quantity of every trial and of the best trial so far."""
    shown = trials_table(trials).reindex(columns=["trial", "value", "state", "success_rate"])
    shown["best"] = _best_so_far(shown, direction, attribute, trials)
    shown["value"] = _shown(trials, attribute)
    shown["quantity"] = QUANTITIES[attribute] if attribute else None
    return shown


def _shown(trials: list[FrozenTrial], attribute: str | None) -> np.ndarray:
    """The shown quantity of each trial, (trials,); NaN if it was pruned or has none."""
    return np.array(
        [
            (t.user_attrs.get(attribute) if attribute else t.value)
            if t.state == TrialState.COMPLETE
            else None
            for t in trials
        ],
        np.float64,
    )


def _best_so_far(
    table: pd.DataFrame, direction: Direction, attribute: str | None, trials: list[FrozenTrial]
) -> np.ndarray:
    """The shown quantity of the trial with the best value up to and including each, (trials,)."""
    shown, sign = _shown(trials, attribute), 1 if direction == "minimize" else -1
    best, result = np.inf, np.full(len(trials), np.nan)
    for i, (value, state) in enumerate(zip(table["value"], table["state"], strict=True)):
        better = state == "complete" and sign * value < best
        best = sign * value if better else best
        result[i] = shown[i] if better else result[i - 1] if i else np.nan
    return result


def _why_nothing(values: np.ndarray, trials: int) -> str | None:
    """Why a search shows nothing, or None. values: those of its complete trials."""
    if not trials:
        return "no search was run"
    if len(values) < 2:
        return f"of {trials} trials, {len(values)} completed with a value; at least 2 are needed"
    if np.ptp(values) <= RESOLUTION * np.abs(values).max():
        return f"the {len(values)} complete trials have the same value to within 0.1 %"
    return None


def _slices(shown: pd.DataFrame, trials: list[FrozenTrial], choices: bool) -> pd.DataFrame:
    """The rows of `slice` or, for choices, of `slice_choice`."""
    rows: list[dict[str, Any]] = []
    for row, trial in zip(shown.to_dict("records"), trials, strict=True):
        for parameter, setting in trial.params.items():
            distribution = trial.distributions[parameter]
            if distribution.single() or isinstance(setting, str) != choices:
                continue
            ((name, value),) = decode({parameter: setting}).items()
            own = {"parameter": name, "setting": value}
            rows.append(row | own | ({} if choices else {"scale": _scale(parameter, distribution)}))
    return pd.DataFrame(rows)


def _scale(parameter: str, distribution: BaseDistribution) -> str:
    """The scale of the axis of a setting that is a number.

    Returns:
        "log2" or "log10" if the search draws its logarithm, and otherwise "whole" for whole numbers
        and "number" for others. A setting with the scale "log2" is a whole number too.
    """
    choices = getattr(distribution, "choices", None)
    whole = isinstance(distribution, IntDistribution) or (
        choices is not None and all(isinstance(choice, int) for choice in choices)
    )
    if parameter.startswith("log2_") or (whole and getattr(distribution, "log", False)):
        return "log2"
    if getattr(distribution, "log", False):
        return "log10"
    return "whole" if whole else "number"


def _importance(
    trials: list[FrozenTrial], direction: Direction, attribute: str | None
) -> pd.DataFrame:
    """The rows of `importance`; none if there are too few complete trials."""
    shown = _shown(trials, attribute)
    study = optuna.create_study(direction=direction)
    study.add_trials([t for t, value in zip(trials, shown, strict=True) if np.isfinite(value)])
    values = shown[np.isfinite(shown)]
    if len(values) < FEWEST_TRIALS or _why_nothing(values, len(trials)):
        return pd.DataFrame(columns=["parameter", "importance"])
    shares = optuna.importance.get_param_importances(
        study,
        evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
        target=(lambda t: t.user_attrs[attribute]) if attribute else None,
    )
    searched = [
        (parameter.removeprefix("log2_"), share)
        for parameter, share in sorted(shares.items())
        if not study.trials[0].distributions[parameter].single()
    ]
    return pd.DataFrame(searched, columns=["parameter", "importance"])
