"""The learning curves of a training, written while it runs. Stage train uses them."""

from collections import Counter
from pathlib import Path

import pandas as pd
from dvclive.live import Live

from icu_adversarial.core.io import write_csv
from icu_adversarial.model.training import State

NAMES = ("train_loss", "held_out_loss", "auroc", "auprc")


class LearningCurves:
    """Writes every evaluation of every fold to files that can be read while the training runs.

    plots/metrics/NAME/fold_K.tsv of dvclive gets a row per evaluation, whose step is the epoch.
    plots/learning.csv is the table of the figure. A resumed training ends with the same files as
    an undisturbed one.
    """

    def __init__(self, folder: Path, source: str, note: str) -> None:
        """Remove what dvclive wrote in an earlier run.

        Args:
            folder: metrics/train.
            source: The label of the data.
            note: The warning of a small cohort, or "".
        """
        # Its `end` is not called: it would write a summary in the place of metrics.json.
        self.live = Live(str(folder), dvcyaml=False, save_dvc_exp=False)
        self.file, self.source, self.note = folder / "plots" / "learning.csv", source, note
        self.written: Counter[int] = Counter()  # evaluations by fold

    def update(self, states: list[State]) -> None:
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
            write_csv(self.file, pd.DataFrame(rows, columns=columns).assign(note=self.note))
