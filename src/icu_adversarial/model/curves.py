"""The files about a training, written while it runs. The stage train uses it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from dvclive.live import Live

from icu_adversarial.core.io import read_json, write_csv, write_json
from icu_adversarial.features.cohort import cohort_warning
from icu_adversarial.model.state import TrainingState

NAMES = ("train_loss", "held_out_loss", "auroc", "auprc")


class LearningCurves:
    """Writes every evaluation of every fold to files that can be read while the training runs.

    dvclive's plots/metrics/NAME/fold_K.tsv gets one row for each evaluation, whose step is the
    epoch. plots/learning.csv is the table of the figure. A resumed training ends with the same
    files as an undisturbed one.
    """

    def __init__(self, folder: Path, source: str, cohort: pd.DataFrame) -> None:
        """Remove what dvclive wrote in an earlier run.

        Args:
            folder: Where the stage writes its metrics.
            source: What the data are called.
            cohort: schemas.COHORT.
        """
        died, test = cohort["died"], cohort["is_test"]
        note = cohort_warning(len(cohort), int(died.sum()), int(died[test].sum()))
        # Its `end` is not called: it would write a summary in the place of metrics.json.
        self.live = Live(str(folder), dvcyaml=False, save_dvc_exp=False)
        self.folder, self.source, self.note = folder, source, note or ""
        self.written: Counter[int] = Counter()  # evaluations by fold

    def update(self, states: list[TrainingState]) -> None:
        """Write the evaluations that are new. states: all folds."""
        for k, state in enumerate(states):
            for entry in state.history[self.written[k] :]:
                self.live.step = int(entry["epoch"])
                for name in NAMES:
                    self.live.log_metric(f"{name}/fold_{k}", entry[name])
            self.written[k] = len(state.history)
        rows = [
            (self.source, k, entry["epoch"], name, entry[name])
            for k, state in enumerate(states)
            for entry in state.history
            for name in NAMES
        ]
        if rows:
            columns = ["source", "fold", "epoch", "quantity", "value"]
            table = pd.DataFrame(rows, columns=columns).assign(note=self.note)
            write_csv(self.folder / "plots" / "learning.csv", table)

    def finish(self, models: Sequence[Path]) -> None:
        """Write metrics.json. models: the folder of each fold's model."""
        saved = [read_json(model / "model.json") for model in models]
        content = {
            "source": self.source,
            "hyperparameters": saved[0]["model"],
            "epochs": [fold["epoch"] for fold in saved],
            "threshold": saved[0]["threshold"],
        }
        write_json(self.folder / "metrics.json", content)
