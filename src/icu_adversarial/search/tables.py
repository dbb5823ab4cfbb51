"""A finished study as tables: its trials, and the data of its figures."""

from typing import Any, Literal

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from icu_adversarial.search.space import decode

Direction = Literal["minimize", "maximize"]
FEWEST_TRIALS = 4  # complete ones, for importances that mean anything
COLUMNS = {  # of the figures' tables
    "history": ["trial", "value", "state", "best"],
    "importance": ["parameter", "importance"],
    "slice": ["trial", "value", "state", "parameter", "setting"],
    "slice_choice": ["trial", "value", "state", "parameter", "setting"],
}


def trials_table(trials: list[FrozenTrial]) -> pd.DataFrame:
    """One row per trial: trial, state (complete | pruned), value (of a pruned one: its last report), last_step, hyperparameters, user attributes."""
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


def figure_tables(trials: list[FrozenTrial], direction: Direction) -> dict[str, pd.DataFrame]:
    """The tables of a study's figures by name, with the columns of COLUMNS.

    `history`: every trial, and the best value so far among the complete ones. `importance`: share of the variance of the value that each searched
    parameter explains (fANOVA, Hutter et al. 2014), over the complete trials; no rows for fewer than FEWEST_TRIALS. `slice`, `slice_choice`: value
    against setting for numbers (log2 or log10 where the range is logarithmic) and for choices. A parameter with one setting alone is in none.
    """
    table = trials_table(trials)[["trial", "value", "state"]]
    complete = table["value"].where(table["state"] == "complete")
    best = complete.cummin().ffill() if direction == "minimize" else complete.cummax().ffill()
    slices: dict[str, list[dict[str, Any]]] = {"slice": [], "slice_choice": []}
    for row, trial in zip(table.to_dict("records"), trials, strict=True):
        for parameter, setting in trial.params.items():
            if trial.distributions[parameter].single():
                continue
            if isinstance(setting, str):
                slices["slice_choice"].append(row | {"parameter": parameter, "setting": setting})
            else:
                log = getattr(trial.distributions[parameter], "log", False)
                name = f"log10 {parameter}" if log else parameter.replace("log2_", "log2 ")
                slices["slice"].append(
                    row
                    | {"parameter": name, "setting": float(np.log10(setting) if log else setting)}
                )
    tables = {"history": table.assign(best=best), "importance": _importance(trials, direction)}
    return tables | {
        name: pd.DataFrame(rows, columns=COLUMNS[name]) for name, rows in slices.items()
    }


def _importance(trials: list[FrozenTrial], direction: Direction) -> pd.DataFrame:
    study = optuna.create_study(direction=direction)
    study.add_trials([t for t in trials if t.state == TrialState.COMPLETE])
    values = {t.value for t in study.trials}
    if len(study.trials) < FEWEST_TRIALS or len(values) == 1:
        return pd.DataFrame(columns=COLUMNS["importance"])
    shares = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    searched = [
        share
        for share in sorted(shares.items())
        if not study.trials[0].distributions[share[0]].single()
    ]
    return pd.DataFrame(searched, columns=COLUMNS["importance"])
