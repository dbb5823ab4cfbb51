"""analyze: susceptibility maps of one objective: tables, the data of the figures, and a page."""

import sys
from pathlib import Path

import pandas as pd

from icu_adversarial.analyze import captions, figures
from icu_adversarial.analyze.report import report, warning_of
from icu_adversarial.analyze.summary import summary
from icu_adversarial.analyze.susceptibility import susceptibility
from icu_adversarial.config.params import Params
from icu_adversarial.core.io import atomic, read_array, read_json, write_csv, write_json
from icu_adversarial.core.paths import ANALYZE, ATTACK, COHORT, GRID, METRICS, TUNE_ATTACK
from icu_adversarial.core.schemas import COHORT as COHORT_SCHEMA
from icu_adversarial.core.schemas import ENSEMBLE, EXAMPLES, FILE, PERTURBATIONS, read_table
from icu_adversarial.features.scaling import Scaler, widest
from icu_adversarial.measurements import M


def run(params: Params, objective: str) -> None:
    """Turn the examples of an attack into tables, figures and a page.

    Reads the examples, the cap of the attack, the cohort, its grid, the scalers and the scores of
    the model; writes data/analyze/OBJECTIVE and metrics/analyze/OBJECTIVE.
    """
    options, source = params.analyze, params.extract.label
    examples = read_table(ATTACK / objective / "examples.parquet", EXAMPLES)
    perturbations = read_table(ATTACK / objective / "perturbations.parquet", PERTURBATIONS)
    cohort = read_table(COHORT, COHORT_SCHEMA)
    grid = read_array(GRID)
    cap = read_json(TUNE_ATTACK / objective / "best.json")["hyperparameters"].get("cap")
    l0 = {"min_l0": options.min_l0, "max_l0": options.max_l0 or len(params.hours) * M}

    told = warning_of(cohort)
    reached = captions.reach(examples, perturbations, cap, **l0)
    by_cell, by_measurement = susceptibility(
        examples,
        perturbations,
        cohort,
        grid,
        hours=params.hours,
        resamples=options.bootstrap,
        **l0,
    )
    plots = {
        "histograms": figures.histograms(examples, **l0),
        "discovery": figures.discovery(examples),
        "ranking": by_measurement,
        **figures.heatmaps(by_cell),
    }
    notes = captions.notes(reached, cap, params.extract.source)
    folder = METRICS / "analyze" / objective
    tables = {
        folder / "plots" / f"{name}.csv": captions.noted(table, notes, told is not None)
        for name, table in plots.items()
    }
    tables[folder / "susceptibility.csv"] = by_cell
    typical = figures.typical(examples, options.patients, **l0)
    tables[ANALYZE / objective / "patients.csv"] = figures.patients(
        typical,
        perturbations,
        grid[pd.Index(cohort.stay_id).get_indexer(typical.stay_id)],
        params.hours,
        read_scalers(params.attack.models, params.attack.target),
    )
    for path, table in tables.items():
        write_csv(path, figures.label(table, source, objective))

    attack = summary(examples, by_measurement, reached, **l0)
    content = {
        "source": source,
        "stays": len(cohort),
        "prevalence": round(float(cohort.died.mean()), 6),
        "conclusive": told is None,
        "cap": cap,
        **attack,
    }
    write_json(folder / "metrics.json", content)
    model = read_json(METRICS / "evaluate" / "metrics.json")
    page = report(
        source,
        objective,
        cap,
        cohort,
        model,
        attack,
        by_cell,
        by_measurement,
        captions.what_differs(params.extract.source),
    )
    with atomic(folder / "report.md") as temporary:
        temporary.write_text(page, encoding="utf-8")
    if told:
        print(f"warning: {told}", file=sys.stderr)


def read_scalers(models: Path, target: str) -> dict[int, Scaler]:
    """The scalers by the fold that the examples name, with ENSEMBLE and FILE.

    Args:
        models: the folder of all folds' models, or of the other model.
        target: attack.target.
    """
    if target == "file":
        return {FILE: Scaler.load(models / "scaler.json")}
    scalers = {
        int(folder.name.removeprefix("fold_")): Scaler.load(folder / "scaler.json")
        for folder in sorted(models.glob("fold_*"))
    }
    return scalers | {ENSEMBLE: widest(list(scalers.values()))}
