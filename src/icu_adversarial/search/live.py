"""The files about a search, written while it runs. The tuning stages use it."""

from pathlib import Path
from typing import Any

from dvclive.live import Live
from optuna.trial import FrozenTrial

from icu_adversarial.core.io import write_csv, write_json
from icu_adversarial.search.figures import Direction, figure_tables, history_table


class LiveStudy:
    """Writes every ended trial to files that can be read while the search runs.

    dvclive's plots/metrics/NAME.tsv gets one row for each trial, whose step is the number of the
    trial: its value, and each of its user attributes that is known. plots/history.csv is the table
    of the figure. A resumed search ends with the same files as an undisturbed one.
    """

    def __init__(
        self, folder: Path, direction: Direction, attribute: str | None = None, **labels: str
    ) -> None:
        """Remove what dvclive wrote in an earlier run.

        Args:
            folder: Where the stage writes its metrics.
            direction: Whether a smaller or a larger value is better.
            attribute: As for `figure_tables`.
            labels: Further columns of every table, each with one value, for example source.
        """
        # Its `end` is not called: it would write a summary in the place of metrics.json.
        self.live = Live(str(folder), dvcyaml=False, save_dvc_exp=False)
        (folder / "plots" / "metrics").mkdir(parents=True, exist_ok=True)
        self.folder, self.labels = folder, labels
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
        write_csv(self.folder / "plots" / "history.csv", history.assign(**self.labels))

    def finish(self, trials: list[FrozenTrial], content: dict[str, Any]) -> None:
        """Write the tables of all figures, and metrics.json.

        Args:
            trials: All ended trials, in order.
            content: The content of metrics.json.
        """
        tables = figure_tables(trials, self.direction, self.attribute)
        for name, table in tables.items():
            write_csv(self.folder / "plots" / f"{name}.csv", table.assign(**self.labels))
        write_json(self.folder / "metrics.json", content)
