"""Invented tables of every figure, as the stages write them, and templates filled as DVC does."""

import copy
import io
from typing import Any

import numpy as np
import pandas as pd
from analysis_tables import ROOT
from dvc_render.vega import VegaRenderer
from literature_set import NAMES
from ruamel.yaml import YAML

from icu_adversarial.evaluate.subgroups import SHOWN as SUBGROUP_SCORES
from icu_adversarial.measurements import DICTIONARY
from icu_adversarial.studies.published import HELD_OUT, LEAK, PUBLISHED

MODELS = ("network", "logistic regression", "gradient boosting")
CURVES = MODELS
DIRECTIONS, KINDS, SPLITS = ("0→1", "1→0"), ("first", "best"), ("out of fold", "test")
HEATMAPS = ("a", "gpp", "ganzp", "sensitivity", "s")
SYNTHETIC, REAL = "synthetic hospital (not real patients)", "PhysioNet Challenge 2012"
ABSENT = NAMES[3]  # a measurement that the data do not have
OPTIONAL = {  # columns that older revisions do not have, by the start of the table's name
    "heatmap": ("note", "warning", "known", "patients", "attacked"),
    "ranking": ("note", "warning", "known", "attacked", "fold"),
    "subgroups": ("few",),
    "precision": ("prevalence",),
    "reliability": ("low", "high"),
    "history": ("success_rate", "quantity"),
    "slice_choice": ("success_rate", "quantity"),
    "slice": ("success_rate", "quantity", "scale"),
}
CAP = "The cap of 0.25 was reached in 62 % of 412 examples, so sizes are bounded by it."


def tables(hours: int = 2, trials: int = 12) -> dict[str, pd.DataFrame]:
    """The table of each figure by the name of its file, without its source.

    Args:
        hours: Number of hours of the maps.
        trials: Number of trials of the search.
    """
    rng = np.random.default_rng(0)
    found = _stays(rng) | _search(rng, trials) | _scores(rng) | _curves(rng) | _attack(rng, hours)
    found |= _stress(rng, hours)
    for name in ("histograms", "discovery", "transfer", "ranking", "patients", *_maps()):
        found[name].insert(0, "objective", "sparse_small")
    return found


def filled(
    name: str, rows: pd.DataFrame, revisions: tuple[str, ...] = ("workspace",), **row: str
) -> dict[str, Any]:
    """The figure of a table, filled as `dvc plots show` and `dvc plots diff` fill it.

    Args:
        name: Name of the table; its template and axes are those of dvc.yaml.
        rows: The table. Its column rev, if any, names the revisions.
        revisions: The values of rev that every row is repeated for, without such a column.
        row: Values of further columns.
    """
    text = rows.assign(**{"source": SYNTHETIC, **row}).to_csv(index=False)
    read = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    points = [
        {"rev": revision, **point} for revision in revisions for point in read.to_dict("records")
    ]
    options = PLOTS[name]
    renderer = VegaRenderer(points, name, template_dir=str(ROOT / ".dvc" / "plots"), **options)
    spec: dict[str, Any] = copy.deepcopy(renderer.get_filled_template())
    return spec


def plots() -> dict[str, dict[str, str]]:
    """The properties of every plot of the pipeline and the studies by the name of its file."""
    found = {}
    for file in [ROOT / "dvc.yaml", *sorted((ROOT / "studies").glob("*/dvc.yaml"))]:
        for stage in YAML(typ="safe").load(file)["stages"].values():
            for plot in stage.get("plots", []):
                path, options = next(iter(plot.items()))
                found[path.rsplit("/", 1)[1].removesuffix(".csv")] = options
    return found


def _maps() -> list[str]:
    return [f"heatmap_{name}" for name in HEATMAPS]


def _stays(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    share = rng.uniform(0.2, 1, len(NAMES)).round(3)
    share[NAMES.index(ABSENT)] = 0
    coverage = {
        "measurement": NAMES,
        "stays": (share * 1000).astype(int),
        "share": share,
        "events_per_stay": share * 30,
    }
    cohort = {
        "step": ["all ICU stays", "age at least 18"],
        "order": [0, 1],
        "stays": [9, 8],
        "subjects": [7, 6],
        "deaths": [2, 1],
        "excluded": [0, 1],
    }
    rows = pd.DataFrame(
        {
            "measurement": np.repeat(NAMES, 2),
            "reason": ["kept", "wrong unit"] * len(NAMES),
            "rows": [3, 1] * len(NAMES),
            "share": [0.75, 0.25] * len(NAMES),
        }
    )
    return {"coverage": pd.DataFrame(coverage), "cohort": pd.DataFrame(cohort), "rows": rows}


def _search(rng: np.random.Generator, trials: int) -> dict[str, pd.DataFrame]:
    value = rng.uniform(0.4, 0.9, trials)
    state = np.where(np.arange(trials) % 3 == 1, "pruned", "complete")
    value[state == "pruned"] = np.nan
    history = pd.DataFrame(
        {
            "trial": range(trials),
            "value": value,
            "state": state,
            "best": pd.Series(value).cummin().ffill(),
            "success_rate": 1.0,
            "quantity": "median L1 of the flipped stays (model input units)",
        }
    )
    dropout, kappa = (
        history.assign(parameter=name, setting=rng.uniform(0, high, trials), scale="number")
        for name, high in (("dropout", 0.5), ("kappa", 2))
    )
    choice = history.assign(
        parameter="optimizer", setting=np.where(np.arange(trials) % 2, "adam", "sgd")
    )
    importance = {"parameter": [f"p{i}" for i in range(8)], "importance": [0.05] * 7 + [0.65]}
    return {
        "history": history,
        "slice": pd.concat([dropout, kappa]),
        "slice_choice": choice,
        "importance": pd.DataFrame(importance),
    }


def _scores(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    quantities = ("train_loss", "held_out_loss", "auroc", "auprc")
    learning = [
        (fold, epoch, quantity, 0.5 + 0.3 * (epoch / 6) ** 0.5 + 0.02 * rng.normal())
        for quantity in quantities
        for fold in range(5)
        for epoch in range(0, 7, 2)
    ]
    learning_curve = [
        (stays, model, score, mean, 0.05, mean - 0.05, mean + 0.05)
        for score in ("auroc", "auprc")
        for i, model in enumerate(MODELS)
        for stays, mean in ((120, 0.7 - i / 50), (240, 0.75 - i / 50), (480, 0.8 - i / 50))
    ]
    comparison = [
        ("a network of the literature", "AUROC", HELD_OUT, 0.8, 0.75, 0.85),
        ("a network of the literature", "AUPRC", HELD_OUT, 0.4, 0.35, 0.45),
        ("a network of the literature", "AUROC", PUBLISHED, 0.9, 0.89, 0.91),
        ("a leaky one", "AUROC", LEAK, 0.95, 0.94, 0.96),
        ("ours", "AUROC", HELD_OUT, 0.3, 0.2, 0.5),
    ]
    subgroups = [
        (division, group, split, score, stays, deaths, value, value - 0.1, value + 0.1, few)
        for split in SPLITS
        for score in SUBGROUP_SCORES
        for division, group, stays, deaths, value, few in (
            ("age", "under 45", 30, 2, 0.5, 1),
            ("age", "45 to 64", 130, 14, 0.82, 0),
            ("age", "80 and over", 90, 20, 0.74, 0),
            ("sex", "F", 120, 18, 0.8, 0),
            ("sex", "M", 0, 0, np.nan, 1),
        )
    ]
    names = ["division", "group", "split", "score", "stays", "deaths", "value", "low", "high"]
    return {
        "learning": pd.DataFrame(learning, columns=["fold", "epoch", "quantity", "value"]),
        "learning_curve": pd.DataFrame(
            learning_curve, columns=["stays", "model", "score", "mean", "sd", "low", "high"]
        ),
        "literature": pd.DataFrame(
            comparison, columns=["model", "score", "kind", "value", "low", "high"]
        ),
        "subgroups": pd.DataFrame(subgroups, columns=[*names, "few"]),
    }


def _curves(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    t = np.linspace(0, 1, 9)
    parts: dict[str, list[pd.DataFrame]] = {}
    for split in SPLITS:
        for i, curve in enumerate(CURVES):
            about = {"split": split, "curve": curve}
            observed = np.clip(t * (0.7 + i / 10) + rng.normal(0, 0.02, 9), 0, 1)
            reliability = {
                "predicted": t,
                "observed": observed,
                "stays": (900 * np.exp(-4 * t)).astype(int) + 3,
                "low": np.clip(observed - 0.02 - 0.1 * t, 0, 1),
                "high": np.clip(observed + 0.02 + 0.1 * t, 0, 1),
            }
            drawn = {"reliability": reliability}
            if curve in MODELS:
                drawn["roc"] = {"fpr": t, "tpr": t ** (0.3 + i / 10)}
                drawn["precision_recall"] = {
                    "recall": t,
                    "precision": 0.9 - (0.6 + i / 20) * t,
                    "prevalence": 0.123,
                }
                drawn["decision"] = {
                    "threshold": t * 0.6,
                    "net_benefit": 0.12 - 0.15 * t - i / 100,
                    "treat_all": 0.12 - 0.9 * t,
                }
            for name, columns in drawn.items():
                parts.setdefault(name, []).append(pd.DataFrame(columns).assign(**about))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()}


def _stress(rng: np.random.Generator, hours: int) -> dict[str, pd.DataFrame]:
    errors = [
        (model, error, value, value / 2, 2 * value, value / 2, value / 2, 50.0, 900, 0.1, 0.0)
        for i, error in enumerate(("Decimal point slipped: × 10", "Value missing"))
        for model, value in zip(MODELS, (4.0 + i, 2.0, 0.3), strict=True)
    ]
    names = ["model", "error", "per_1000", "low", "high", "lost", "false", "vulnerable", "edits"]
    cells = [
        (hour, hour + 1, name, 9, rng.uniform(0, 20)) for hour in range(hours) for name in NAMES
    ]
    thresholds = [
        (model, i / 50, change, rng.uniform(0, 30))
        for model in MODELS
        for i in range(1, 31)
        for change in ("alarms lost", "false alarms")
    ]
    edits = [
        (model, kind, count, i / 20, False, 20, 0.1, 0.1, count * (20 - i) / 100, 0.1, 0.2)
        for model in MODELS
        for kind in ("edited", "omitted")
        for count in (1, 2, 4)
        for i in range(1, 20)
    ]
    counted = ["model", "kind", "values", "threshold", "own", "stays", "alarms_lost"]
    return {
        "errors": pd.DataFrame(errors, columns=[*names, "caught", "per_1000_caught"]),
        "cells": pd.DataFrame(
            cells, columns=["hour", "end_hour", "measurement", "patients", "per_1000"]
        ),
        "thresholds": pd.DataFrame(
            thresholds, columns=["model", "threshold", "change", "per_1000"]
        ),
        "edits": pd.DataFrame(edits, columns=[*counted, "false_alarms", "flipped", "fall", "rise"]),
    }


def _attack(rng: np.random.Generator, hours: int) -> dict[str, pd.DataFrame]:
    groups = [(d, k) for d in DIRECTIONS for k in KINDS]
    bins = [("L0", low, 2 * low) for low in (1, 2, 4)]
    sizes = ("mean |P|", "L∞")
    bins += [(q, i / 20, (i + 1) / 20) for q in sizes for i in range(5)]
    histograms = [(*g, *b, 9, rng.uniform(0, 0.4)) for g in groups for b in bins]
    steps = (0, 5, 20, 60)
    discovery = [(*g, s, s, 90, s / 90) for g in groups for s in steps]
    folds = ("fold 0", "fold 1")
    transfer = [
        (d, a, s, 0 if a != s and d == "1→0" else 9, np.nan if a != s and d == "1→0" else 0.6)
        for d in DIRECTIONS
        for a in folds
        for s in folds
    ]
    found = {
        "histograms": pd.DataFrame(
            histograms,
            columns=["direction", "kind", "quantity", "low", "high", "examples", "share"],
        ),
        "discovery": pd.DataFrame(
            discovery,
            columns=["direction", "kind", "iteration", "flipped", "attacked", "share"],
        ),
        "transfer": pd.DataFrame(
            transfer, columns=["direction", "attacked", "scored", "examples", "flipped"]
        ),
        "patients": _patients(rng, hours),
        "ranking": _ranking(rng),
    }
    return found | _heatmaps(rng, hours)


def _patients(rng: np.random.Generator, hours: int) -> pd.DataFrame:
    rows = []
    for direction in DIRECTIONS:
        for patient in (1, 2):
            for rank, name in enumerate(NAMES[: patient + 1], start=1):
                for hour in range(hours):
                    original = 100 + rng.normal()
                    changed = int(hour == 1)
                    values = (original, original + 5 * changed, changed, int(hour % 3 == 0))
                    head = (direction, patient, patient + 1, rank, name, DICTIONARY[name].unit)
                    rows.append((*head, hour, hour + 1, *values))
    columns = ["direction", "patient", "cells", "rank", "measurement", "unit", "hour", "end_hour"]
    return pd.DataFrame(rows, columns=[*columns, "original", "perturbed", "changed", "observed"])


def _ranking(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for direction in DIRECTIONS:
        for kind in KINDS:
            sizes = rng.exponential(0.01, len(NAMES))
            ranks = (-sizes).argsort().argsort() + 1
            for name, a, rank in zip(NAMES, sizes, ranks, strict=True):
                known = int(name != ABSENT)
                head = (direction, kind)
                tail = (known, 50, 60, CAP, "")
                pooled = (a, 0.8 * a, 1.2 * a, rank, max(1, rank - 1), rank + 2, a, 0.1, 0.2)
                rows.append((*head, "all", name, *(pooled if known else [np.nan] * 9), *tail))
                for fold in range(5):
                    own = a * rng.uniform(0.6, 1.4) if known else np.nan
                    rows.append((*head, str(fold), name, own, *[np.nan] * 8, *tail))
    columns = ["direction", "kind", "fold", "measurement", "a", "a_low", "a_high", "rank"]
    columns += ["rank_low", "rank_high", "a_observed", "s", "sensitivity"]
    return pd.DataFrame(
        rows, columns=[*columns, "known", "examples", "attacked", "note", "warning"]
    )


def _heatmaps(rng: np.random.Generator, hours: int) -> dict[str, pd.DataFrame]:
    cells = pd.DataFrame(
        [
            (d, k, h, h + 1, m)
            for d in DIRECTIONS
            for k in KINDS
            for h in range(hours)
            for m in NAMES
        ],
        columns=["direction", "kind", "hour", "end_hour", "measurement"],
    )
    cells["patients"] = rng.integers(0, 30, len(cells))
    cells["known"] = (cells.measurement != ABSENT).astype(int)
    cells = cells.assign(examples=50, attacked=60, note=CAP, warning="")
    value = rng.exponential(0.02, len(cells)) * np.sqrt(cells.hour + 1)
    value[cells.patients == 0] = 0
    scale = {"a": 0.1, "gpp": 1, "ganzp": 1, "sensitivity": 60, "s": 0.5}
    maps = {f"heatmap_{name}": cells.assign(**{name: value * scale[name]}) for name in HEATMAPS}
    maps["heatmap_ganzp"].loc[cells.patients == 0, "ganzp"] = np.nan
    return maps


def older(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table of a revision that had no optional columns."""
    optional = next((c for start, c in OPTIONAL.items() if name.startswith(start)), ())
    kept = table[table.fold == "all"] if name == "ranking" else table
    return kept.drop(columns=list(optional))


PLOTS = plots()
