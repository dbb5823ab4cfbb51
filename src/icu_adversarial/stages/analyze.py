"""Perturbations → susceptibility maps: tables, the data of the figures, and a page of Markdown for one objective."""

import sys
from pathlib import Path

import pandas as pd

from icu_adversarial.analysis import figures
from icu_adversarial.analysis.report import report, summary, warning
from icu_adversarial.analysis.susceptibility import susceptibility
from icu_adversarial.features.scaling import Scaler, widest
from icu_adversarial.files import atomic, read_array, read_json, write_csv, write_json
from icu_adversarial.measurements import M
from icu_adversarial.params import Params
from icu_adversarial.paths import ANALYZE, ATTACK, COHORT, GRID, METRICS
from icu_adversarial.tables import COHORT as COHORT_SCHEMA
from icu_adversarial.tables import EXAMPLES, PERTURBATIONS, read_table


def run(params: Params, objective: str) -> None:
    """Reads the attack's examples, the cohort, its grid, the folds' scalers and the model's metrics; writes data/ and metrics/analyze/OBJECTIVE."""
    options, source = params.analyze, params.extract.label
    examples = read_table(ATTACK / objective / "examples.parquet", EXAMPLES)
    perturbations = read_table(ATTACK / objective / "perturbations.parquet", PERTURBATIONS)
    cohort = read_table(COHORT, COHORT_SCHEMA)
    l0 = {"min_l0": options.min_l0, "max_l0": options.max_l0 or len(params.hours) * M}

    by_cell, by_measurement = susceptibility(
        examples, perturbations, cohort, hours=params.hours, resamples=options.bootstrap, **l0
    )
    plots = {
        "histograms": figures.histograms(examples, **l0),
        "discovery": figures.discovery(examples),
        "ranking": by_measurement,
    }
    for name in figures.HEATMAPS:
        plots[f"heatmap_{name}"] = by_cell[
            ["direction", "kind", "examples", "hour", "end_hour", "measurement", name]
        ]
    tables = {
        METRICS / "analyze" / objective / "plots" / f"{name}.csv": table
        for name, table in plots.items()
    }
    tables[METRICS / "analyze" / objective / "susceptibility.csv"] = by_cell
    typical = figures.typical(examples, options.patients, **l0)
    scalers = read_scalers(params.attack.models, params.attack.target)
    grids = read_array(GRID)[pd.Index(cohort.stay_id).get_indexer(typical.stay_id)]
    tables[ANALYZE / objective / "patients.csv"] = figures.patients(
        typical, perturbations, grids, params.hours, scalers
    )
    for path, table in tables.items():
        write_csv(path, figures.label(table, source, objective))

    attack = summary(examples, by_measurement, **l0)
    told = warning(cohort)
    prevalence = round(float(cohort.died.mean()), 6)
    content = {
        "source": source,
        "stays": len(cohort),
        "prevalence": prevalence,
        "conclusive": told is None,
        **attack,
    }
    write_json(METRICS / "analyze" / objective / "metrics.json", content)
    with atomic(METRICS / "analyze" / objective / "report.md") as temporary:
        page = report(
            source,
            objective,
            cohort,
            read_json(METRICS / "train" / "metrics.json"),
            attack,
            by_cell,
            by_measurement,
        )
        temporary.write_text(page, encoding="utf-8")
    if told:
        print(f"warning: {told}", file=sys.stderr)


def read_scalers(models: Path, target: str) -> dict[int, Scaler]:
    """By the fold that the examples name: each fold's, -1 for the ensemble's, -2 for that of a model from elsewhere (attack.target file)."""
    if target == "file":
        return {-2: Scaler.load(models / "scaler.json")}
    scalers = {
        int(folder.name.removeprefix("fold_")): Scaler.load(folder / "scaler.json")
        for folder in sorted(models.glob("fold_*"))
    }
    return scalers | {-1: widest(list(scalers.values()))}
