"""The maps of one objective, and the files that the stage analyze writes about them."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from icu_adversarial.analyze import captions, figures
from icu_adversarial.analyze.easily_flipped import easily_flipped
from icu_adversarial.analyze.groups import measured_values
from icu_adversarial.analyze.headline import headline
from icu_adversarial.analyze.inputs import Inputs
from icu_adversarial.analyze.report import report, warning_of
from icu_adversarial.analyze.summary import summary
from icu_adversarial.analyze.susceptibility import susceptibility
from icu_adversarial.config.analyze import Analyze
from icu_adversarial.core import paths
from icu_adversarial.core.io import atomic, write_csv, write_json


class Settings(NamedTuple):
    """What an analysis depends on besides its input files.

    objective: What the attack maximised.
    source: extract.source.
    label: What figures call the data.
    outcome: What is predicted, in words.
    hours: The first hour of each bin.
    names: The measurements that are columns of the grid.
    options: The block `analyze` of params.yaml.
    """

    objective: str
    source: str
    label: str
    outcome: str
    hours: range
    names: tuple[str, ...]
    options: Analyze

    @property
    def l0(self) -> dict[str, int]:
        """The smallest and largest L0 of the examples in the maps, as keyword arguments."""
        largest = self.options.max_l0 or len(self.hours) * len(self.names)
        return {"min_l0": self.options.min_l0, "max_l0": largest}

    @property
    def folder(self) -> Path:
        """Where the results without values of patients are written."""
        return paths.METRICS / "analyze" / self.objective


class Maps(NamedTuple):
    """What the examples say about the model.

    by_cell, by_measurement: Results of `susceptibility`.
    reached: How often the cap binds, from `captions.reach`.
    """

    by_cell: pd.DataFrame
    by_measurement: pd.DataFrame
    reached: pd.DataFrame


def make_maps(settings: Settings, found: Inputs) -> Maps:
    """Compute the susceptibility of every cell and measurement."""
    by_cell, by_measurement = susceptibility(
        found.examples,
        found.perturbations,
        found.cohort,
        found.grid,
        hours=settings.hours,
        names=settings.names,
        resamples=settings.options.bootstrap,
        **settings.l0,
    )
    reached = captions.reach(found.examples, found.perturbations, found.cap, **settings.l0)
    return Maps(by_cell, by_measurement, reached)


def write_tables(settings: Settings, found: Inputs, maps: Maps) -> None:
    """Write the table of every figure, susceptibility.csv and easily_flipped.csv.

    Only data/analyze/OBJECTIVE/patients.csv has values of patients. The stage report reads its
    copies in data/findings, a folder with all objectives that holds nothing else.
    """
    plots = {
        "histograms": figures.histograms(found.examples, **settings.l0),
        "discovery": figures.discovery(found.examples),
        "ranking": maps.by_measurement,
        **figures.heatmaps(maps.by_cell),
    }
    notes = captions.notes(maps.reached, found.cap, settings.source, settings.names)
    small = warning_of(found.cohort) is not None
    tables = {
        settings.folder / "plots" / f"{name}.csv": captions.noted(table, notes, small)
        for name, table in plots.items()
    }
    tables[settings.folder / "susceptibility.csv"] = maps.by_cell
    flipped = easily_flipped(
        found.examples,
        found.cohort,
        found.risk,
        measured_values(found.grid),
        settings.options.bootstrap,
    )
    tables[settings.folder / "easily_flipped.csv"] = flipped
    findings = paths.FINDINGS / settings.objective
    tables[findings / "map.csv"] = maps.by_cell[maps.by_cell.kind == "best"]
    tables[findings / "ranking.csv"] = tables[settings.folder / "plots" / "ranking.csv"]
    tables[findings / "easily_flipped.csv"] = flipped
    typical = figures.typical(found.examples, settings.options.patients, **settings.l0)
    tables[paths.ANALYZE / settings.objective / "patients.csv"] = figures.patients(
        typical,
        found.perturbations,
        found.grid[pd.Index(found.cohort.stay_id).get_indexer(typical.stay_id)],
        settings.hours,
        found.scalers,
    )
    for path, table in tables.items():
        write_csv(path, figures.label(table, settings.label, settings.outcome, settings.objective))


def write_metrics(settings: Settings, found: Inputs, maps: Maps) -> dict[str, Any]:
    """Write metrics.json, its copy, and the headlines. Returns the part on the attack."""
    attack = summary(found.examples, maps.by_measurement, maps.reached, **settings.l0)
    content = {
        "source": settings.label,
        "outcome": settings.outcome,
        "stays": len(found.cohort),
        "prevalence": round(float(found.cohort.died.mean()), 6),
        "conclusive": warning_of(found.cohort) is None,
        "cap": found.cap,
        **attack,
    }
    write_json(settings.folder / "metrics.json", content)
    write_json(paths.FINDINGS / settings.objective / "attack.json", content)
    shown = headline(settings.objective, found.examples, maps.by_measurement)
    write_json(paths.HEADLINES / f"{settings.objective}.json", shown)
    return attack


def write_report(settings: Settings, found: Inputs, maps: Maps, attack: dict[str, Any]) -> None:
    """Write report.md.

    Args:
        attack: The result of `write_metrics`.
    """
    page = report(
        settings.label,
        settings.outcome,
        settings.objective,
        found.cap,
        found.cohort,
        found.scores,
        attack,
        maps.by_cell,
        maps.by_measurement,
        captions.what_differs(settings.source, settings.names),
    )
    with atomic(settings.folder / "report.md") as temporary:
        temporary.write_text(page, encoding="utf-8")
