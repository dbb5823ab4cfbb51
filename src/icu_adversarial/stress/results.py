"""The stress test of a run: chosen stays, answers of all models, tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa

from icu_adversarial.core.io import write_csv, write_json
from icu_adversarial.core.parallel import prepare_worker, workers
from icu_adversarial.core.schemas import FLIPS, measurement_column, write_table
from icu_adversarial.model.scores import sigmoid
from icu_adversarial.records.recorded import Records
from icu_adversarial.stress.catalogue import ERRORS
from icu_adversarial.stress.errors import answers, every_error
from icu_adversarial.stress.models import NETWORK, RiskModel
from icu_adversarial.stress.tables import Resamples, by_cell, by_error, by_threshold, expected


class Part(NamedTuple):
    """The chosen stays of one fold.

    Attributes:
        stays: Their rows of schemas.COHORT.
        grid: Their grid, (n, T, M).
        records: Their recorded values.
        models: The models of the fold, by name.
    """

    stays: pd.DataFrame
    grid: np.ndarray
    records: Records
    models: Mapping[str, RiskModel]


def choose(cohort: pd.DataFrame, stays: int, seed: int) -> np.ndarray:
    """Choose training stays at random. The draw does not depend on the order of the rows.

    Args:
        cohort: schemas.COHORT.
        stays: How many; all if there are fewer.
        seed: Of the draw.

    Returns:
        The rows, sorted.
    """
    rows = np.flatnonzero(cohort["fold"] >= 0)
    rows = rows[np.argsort(cohort["stay_id"].to_numpy()[rows])]
    drawn = np.random.default_rng(seed).permutation(len(rows))[:stays]
    return np.sort(rows[drawn])


def ask(parts: list[Part]) -> dict[str, pd.DataFrame]:
    """Try every error on every part.

    Args:
        parts: The stays of each fold.

    Returns:
        By model, one row for each edit: the columns of `errors.every_error`, stay_id, before and
        after (whether the alarm is on), risk_before and risk_after. The column stay counts the
        stays of all parts.
    """
    asked = workers()(joblib.delayed(_ask)(part) for part in parts)
    offsets = np.cumsum([0, *(len(part.stays) for part in parts)])
    found: dict[str, list[pd.DataFrame]] = {}
    for tables, offset in zip(asked, offsets[:-1], strict=True):
        for model, table in tables.items():
            found.setdefault(model, []).append(table.assign(stay=table["stay"] + offset))
    return {model: pd.concat(tables, ignore_index=True) for model, tables in found.items()}


def _ask(part: Part) -> dict[str, pd.DataFrame]:
    prepare_worker()
    edits, table = every_error(part.records)
    table = table.assign(stay_id=part.stays["stay_id"].to_numpy()[table["stay"]])
    table["hour"] = part.records.hour[table["event"]]
    found = {}
    for model, after in answers(part.models, part.records, part.grid, part.stays, edits).items():
        own = part.models[model]
        before = own.log_odds(part.grid, part.stays)[table["stay"]]
        found[model] = table.assign(
            before=before > own.threshold,
            after=after > own.threshold,
            risk_before=sigmoid(before),
            risk_after=sigmoid(after),
        )
    return found


def write_results(
    found: Mapping[str, pd.DataFrame],
    subject: np.ndarray,
    names: tuple[str, ...],
    hours: range,
    about: Mapping[str, str],
    folders: tuple[Path, Path],
    resamples: tuple[int, int],
) -> None:
    """Write the flips, the tables of the figures and metrics.json.

    Args:
        found: From `ask`.
        subject: The subject of each stay, in the order of the column stay.
        names: The measurements.
        hours: The first hour of each bin.
        about: Columns that every table gets.
        folders: Of the flips, and of the metrics.
        resamples: How many, and their seed.
    """
    data, metrics = folders
    stays, drawn = len(subject), Resamples(subject, *resamples)
    write_table(data / "flips.parquet", _flips(found, names), FLIPS)
    labels = {model: model.replace("_", " ") for model in found}
    tables = {
        "errors": pd.concat([by_error(t, labels[m], stays, drawn) for m, t in found.items()]),
        "cells": by_cell(found[NETWORK], names, hours),
        "thresholds": pd.concat([by_threshold(t, labels[m], stays) for m, t in found.items()]),
    }
    for name, table in tables.items():
        write_csv(metrics / "plots" / f"{name}.csv", table.assign(**about))
    content: dict[str, Any] = {
        "stays": stays,
        "edits": len(found[NETWORK]),
        "expected_wrong_per_1000": {m: expected(t, stays, drawn) for m, t in found.items()},
    }
    write_json(metrics / "metrics.json", {**about, **content})


def _flips(found: Mapping[str, pd.DataFrame], names: tuple[str, ...]) -> pa.Table:
    """schemas.FLIPS, sorted by stay_id, model, error, hour and measurement."""
    parts = [t[t["before"] != t["after"]].assign(model=m) for m, t in found.items()]
    table = pd.concat(parts, ignore_index=True)
    table["place"] = table["error"].map(list(ERRORS).index)
    keys = ["stay_id", "model", "place", "hour", "measurement", "event"]
    table = table.sort_values(keys, ignore_index=True, kind="stable")
    table["before"], table["after"] = table["risk_before"], table["risk_after"]
    columns = {name: table[name] for name in FLIPS.names} | {
        "measurement": measurement_column(table["measurement"].to_numpy(), names)
    }
    arrays = [
        pa.array(columns[f.name], f.type, from_pandas=True)
        if f.name != "measurement"
        else columns[f.name]
        for f in FLIPS
    ]
    return pa.Table.from_arrays(arrays, schema=FLIPS)
