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
from icu_adversarial.core.schemas import (
    FLAG,
    HOURS,
    MEASUREMENT,
    TEXT,
    measurement_column,
    write_table,
)
from icu_adversarial.model.scores import sigmoid
from icu_adversarial.records.recorded import Records
from icu_adversarial.stress.catalogue import ERRORS
from icu_adversarial.stress.errors import answers, every_error
from icu_adversarial.stress.further import Singles, further_answers, single_answers
from icu_adversarial.stress.models import NETWORK, RiskModel
from icu_adversarial.stress.tables import Resamples, by_cell, by_error, by_threshold, expected

# One row for each single error of the record that flips a prediction of a model. recorded, written:
# in the unit of the measurement; written is null for a missing value. caught: the plausible limits
# leave the written value out, so that it is missing. before, after: the probability of death.
FLIPS = pa.schema(
    [
        pa.field("stay_id", pa.int64(), nullable=False),
        pa.field("model", TEXT, nullable=False),
        pa.field("error", TEXT, nullable=False),
        pa.field("hour", HOURS, nullable=False),
        pa.field("measurement", MEASUREMENT, nullable=False),
        pa.field("recorded", pa.float32(), nullable=False),
        ("written", pa.float32()),
        pa.field("caught", FLAG, nullable=False),
        pa.field("before", pa.float32(), nullable=False),
        pa.field("after", pa.float32(), nullable=False),
    ]
)


class Part(NamedTuple):
    """The chosen stays of one fold.

    Attributes:
        stays: Their rows of schemas.COHORT.
        grid: Their grid, (n, T, M).
        records: Their recorded values.
        models: The models of the fold, by name.
        limits: Between which an edited value may be, as from `reach.limits_of`.
        searched: How many of the stays are searched for several edits and laboratory errors.
    """

    stays: pd.DataFrame
    grid: np.ndarray
    records: Records
    models: Mapping[str, RiskModel]
    limits: np.ndarray
    searched: int


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


def ask(
    parts: list[Part], values: int, candidates: int
) -> tuple[dict[str, pd.DataFrame], list[Singles]]:
    """Try every error on every part, and search the other answers.

    Args:
        parts: The stays of each fold.
        values, candidates: As for `further.single_answers`.

    Returns:
        First by model, one row for each edit: the columns of `errors.every_error`, stay_id, before
        and after (whether the alarm is on), risk_before and risk_after. The column stay counts the
        stays of all parts. Then the other answers of each part.
    """
    asked, searched = zip(
        *workers()(joblib.delayed(_ask)(part, values, candidates) for part in parts), strict=True
    )
    offsets = np.cumsum([0, *(len(part.stays) for part in parts)])
    found: dict[str, list[pd.DataFrame]] = {}
    for tables, offset in zip(asked, offsets[:-1], strict=True):
        for model, table in tables.items():
            found.setdefault(model, []).append(table.assign(stay=table["stay"] + offset))
    joined = {model: pd.concat(tables, ignore_index=True) for model, tables in found.items()}
    return joined, list(searched)


def _ask(part: Part, values: int, candidates: int) -> tuple[dict[str, pd.DataFrame], Singles]:
    """The answers of one part."""
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
    few = part.searched
    singles = single_answers(
        list(part.models.values()),
        part.records.head(few),
        part.grid[:few],
        part.stays[:few],
        limits=part.limits,
        values=values,
        candidates=candidates,
    )
    return found, singles


def write_results(
    found: Mapping[str, pd.DataFrame],
    searched: list[Singles],
    subject: np.ndarray,
    names: tuple[str, ...],
    hours: range,
    about: Mapping[str, str],
    folders: tuple[Path, Path],
    resamples: tuple[int, int],
) -> None:
    """Write the flips, the tables of the figures and metrics.json.

    Args:
        found, searched: From `ask`.
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
    further = further_answers(searched, *resamples)
    for name, single in (("reached", further.reached), ("laboratory", further.laboratory)):
        content_of = pa.Table.from_pandas(single, preserve_index=False)
        write_table(data / f"{name}.parquet", content_of, content_of.schema)
    tables["edits"] = further.by_threshold
    for name, table in tables.items():
        write_csv(metrics / "plots" / f"{name}.csv", _labelled(table).assign(**about))
    write_csv(metrics / "presence.csv", _labelled(further.by_measurement).assign(**about))
    write_csv(metrics / "laboratory.csv", _labelled(further.by_group).assign(**about))
    own = further.by_threshold[further.by_threshold["own"]]
    within = further.by_group[further.by_group["division"] == "all"].set_index("model")
    content: dict[str, Any] = {
        "stays": stays,
        "edits": len(found[NETWORK]),
        "expected_wrong_per_1000": {m: expected(t, stays, drawn) for m, t in found.items()},
        "searched_stays": sum(len(part.laboratory) for part in searched) // len(found),
        "flipped_by_edits": _by_count(own, "edited"),
        "flipped_by_omissions": _by_count(own, "omitted"),
        "flipped_within_laboratory_error": within["share"].to_dict(),
    }
    write_json(metrics / "metrics.json", {**about, **content})


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The names of the models in words."""
    if "model" in table:
        return table.assign(model=table["model"].str.replace("_", " "))
    return table


def _by_count(own: pd.DataFrame, kind: str) -> dict[str, dict[str, float]]:
    """The share of flipped stays by model and number of values."""
    part = own[own["kind"] == kind].rename(columns={"values": "number"})
    return {
        model: {str(row.number): row.flipped for row in rows.itertuples()}
        for model, rows in part.groupby("model")
    }


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
