"""The trials of a search, written while it runs. The tuning stages use it."""

from pathlib import Path

from dvclive.live import Live
from optuna.trial import FrozenTrial

from icu_adversarial.core.io import write_csv
from icu_adversarial.search.figures import Direction, history_table


class LiveStudy:
    """Writes every ended trial to files that can be read while the search runs.

    plots/metrics/NAME.tsv of dvclive gets a row per trial, whose step is the number of the trial:
    its value, and each of its user attributes that is known. plots/history.csv is the table of
    the figure. A resumed search ends with the same files as an undisturbed one.
    """

    def __init__(
        self, folder: Path, direction: Direction, attribute: str | None = None, **labels: str
    ) -> None:
        """Remove what dvclive wrote in an earlier run.

        Args:
            folder: Where the stage writes its metrics.
            direction: Whether a smaller or a larger value is better.
            attribute: As of `figure_tables`.
            labels: Columns of the figure with one value, for example source.
        """
        # Its `end` is not called: it would write a summary in the place of metrics.json.
        self.live = Live(str(folder), dvcyaml=False, save_dvc_exp=False)
        (folder / "plots" / "metrics").mkdir(parents=True, exist_ok=True)
        self.file, self.labels = folder / "plots" / "history.csv", labels
        self.direction, self.attribute, self.written = direction, attribute, 0

    def update(self, trials: list[FrozenTrial]) -> None:
        """Write the trials that are new. trials: all ended trials, in order."""
        for number, trial in enumerate(trials[self.written :], self.written):
            self.live.step = number
            for name, value in {"value": trial.value, **trial.user_attrs}.items():
                if value is not None:
                    self.live.log_metric(name, float(f"{value:.6g}"))
        self.written = len(trials)
        history = history_table(trials, self.direction, self.attribute)
        write_csv(self.file, history.assign(**self.labels))
