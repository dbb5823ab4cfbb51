"""What the report reads: tables and numbers without values of single patients."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from icu_adversarial.config.attack import Space
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json
from icu_adversarial.core.labels import LABELS
from icu_adversarial.core.outcomes import worded
from icu_adversarial.core.paths import FINDINGS, METRICS

LITERATURE = METRICS / "literature_table" / "plots" / "literature.csv"
SETTINGS = Path("params.yaml")


class Attack(NamedTuple):
    """What analyze left about one objective.

    numbers: attack.json.
    cells: map.csv, the susceptibility of each cell to the best examples.
    ranking, flipped: ranking.csv and easily_flipped.csv.
    """

    numbers: dict[str, Any]
    cells: pd.DataFrame
    ranking: pd.DataFrame
    flipped: pd.DataFrame


class Results(NamedTuple):
    """The results of a run.

    source: What the data are called.
    outcome: What is predicted, in words.
    cohort, coverage, reliability, subgroups: The tables of these figures.
    scores: metrics/evaluate/metrics.json.
    network: metrics/train/metrics.json.
    attacks: By objective.
    literature: The table of the study `literature`. None if it was not made from this run.
    settings: The text of params.yaml.
    space: What the attack moves, attack.space of params.yaml.
    """

    source: str
    outcome: str
    cohort: pd.DataFrame
    coverage: pd.DataFrame
    reliability: pd.DataFrame
    subgroups: pd.DataFrame
    scores: dict[str, Any]
    network: dict[str, Any]
    attacks: dict[str, Attack]
    literature: pd.DataFrame | None
    settings: str
    space: Space

    @property
    def synthetic(self) -> bool:
        """Whether the patients are invented."""
        return self.source.startswith(LABELS["synthetic"])

    def worded(self, text: str) -> str:
        """A text about deaths and survivors, in the words of the outcome."""
        return worded(text, self.outcome)


def read_results(source: str, outcome: str, objectives: Sequence[str], space: Space) -> Results:
    """Read the results of a run.

    Args:
        source: What the data are called.
        outcome: What is predicted, in words.
        objectives: Those of params.yaml.
        space: The value of attack.space.

    Raises:
        InputError: A file is missing or unreadable.
    """
    scores = read_json(METRICS / "evaluate" / "metrics.json")
    plots = METRICS / "evaluate" / "plots"
    return Results(
        source,
        outcome,
        read_texts(METRICS / "preprocess" / "plots" / "cohort.csv"),
        read_texts(METRICS / "extract" / "plots" / "coverage.csv"),
        read_texts(plots / "reliability.csv"),
        read_texts(plots / "subgroups.csv"),
        scores,
        read_json(METRICS / "train" / "metrics.json"),
        {objective: read_attack(objective) for objective in objectives},
        read_literature(source, scores),
        SETTINGS.read_text(encoding="utf-8"),
        space,
    )


def read_attack(objective: str) -> Attack:
    """Read what analyze left about one objective."""
    folder = FINDINGS / objective
    numbers = read_json(folder / "attack.json")
    cells, flipped = (read_numbers(folder / f"{name}.csv") for name in ("map", "easily_flipped"))
    return Attack(numbers, cells, read_texts(folder / "ranking.csv"), flipped)


def read_literature(source: str, scores: dict[str, Any]) -> pd.DataFrame | None:
    """Read the table of the study `literature`, which no stage waits for.

    Args:
        source: What the data are called.
        scores: metrics/evaluate/metrics.json.

    Returns:
        None if the study did not run, or ran on other results.
    """
    if not LITERATURE.exists():
        return None
    table = read_texts(LITERATURE)
    own = table[(table.score == "AUROC") & table.model.str.startswith("This pipeline")]
    same = list(own.value) == [f"{scores['test']['network']['auroc']['value']:.6g}"]
    return table if same and set(table.source) == {source} else None


def read_texts(path: Path) -> pd.DataFrame:
    """Read the table of a figure as texts, as DVC does."""
    return _read(path, dtype=str, keep_default_na=False)


def read_numbers(path: Path) -> pd.DataFrame:
    """Read a table with the types of its values."""
    return _read(path)


def _read(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro`") from None
