"""How the training went: the learning curves of all folds, for the stage train."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from dvclive.live import Live

from icu_adversarial.core.io import read_json, write_csv, write_json
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.model.state import TrainingState

QUANTITIES = ("train_loss", "held_out_loss", "auroc", "auprc")


def write_learning(
    folder: Path,
    source: str,
    cohort: pd.DataFrame,
    models: Sequence[Path],
    states: Sequence[TrainingState],
) -> None:
    """Write metrics.json, the learning curves through dvclive, and their table.

    Args:
        folder: Where the files go.
        source: What the data are called.
        cohort: schemas.COHORT.
        models: The folder of each fold's model.
        states: The trained folds.
    """
    saved = [read_json(model / "model.json") for model in models]
    content = {
        "source": source,
        "hyperparameters": saved[0]["model"],
        "epochs": [fold["epoch"] for fold in saved],
        "threshold": saved[0]["threshold"],
    }
    _log(folder, states)
    died, test = cohort["died"], cohort["is_test"]
    note = cohort_warning(len(cohort), int(died.sum()), int(died[test].sum()))
    curves = _curves(states).assign(note=note or "")
    curves.insert(0, "source", source)
    write_csv(folder / "plots" / "learning.csv", curves)
    write_json(folder / "metrics.json", content)


def _log(folder: Path, states: Sequence[TrainingState]) -> None:
    """Write each quantity of each fold through dvclive. The step is the epoch."""
    with Live(str(folder), dvcyaml=False, save_dvc_exp=False) as live:
        for step in range(max(len(state.history) for state in states)):
            for k, state in enumerate(states):
                if step < len(state.history):
                    live.step = int(state.history[step]["epoch"])
                    for name in QUANTITIES:
                        live.log_metric(f"{name}/fold_{k}", state.history[step][name])


def _curves(states: Sequence[TrainingState]) -> pd.DataFrame:
    """One row for each fold, evaluation and quantity: fold, epoch, quantity, value."""
    rows = [
        (k, evaluation["epoch"], name, evaluation[name])
        for k, state in enumerate(states)
        for evaluation in state.history
        for name in QUANTITIES
    ]
    return pd.DataFrame(rows, columns=["fold", "epoch", "quantity", "value"])
