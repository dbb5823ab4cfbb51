"""Independent, slow references in plain Python, one stay after the other: MIMIC-III's raw CSV, and from events to a model's input."""

import csv
import gzip
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from literature_set import NAMES

# (column, table, items, above, below, below counts, Fahrenheit), written out again on purpose
RULES = [
    (0, "lab", {50822}, 0, 30, True, False),
    (0, "lab", {50971}, 0, 30, True, False),
    (1, "lab", {50808}, 0, 2.5, True, False),
    (2, "lab", {50820}, 6.3, 8.5, True, False),
    (3, "lab", {50818}, 5, 250, True, False),
    (4, "lab", {50813}, 0, 50, True, False),
    (5, "lab", {50862}, 0, 10, True, False),
    (6, "lab", {51006}, 0, 300, True, False),
    (7, "lab", {50912}, 0, 150, True, False),
    (8, "lab", {50983}, 0, 200, True, False),
    (9, "lab", {50882}, 0, 10000, True, False),
    (10, "lab", {51265}, 0, 10000, True, False),
    (11, "lab", {50931}, 0, 10000, True, False),
    (12, "lab", {50960}, 0, 20, True, False),
    (13, "chart", {211, 220045}, 0, 300, False, False),
    (14, "chart", {51, 442, 455, 6701, 220179, 220050}, 0, 400, False, False),
    (15, "chart", {8368, 8440, 8441, 8555, 220180, 220051}, 0, 300, False, False),
    (16, "chart", {223761, 678}, 70, 120, False, True),
    (16, "chart", {223762, 676}, 10, 50, False, False),
    (17, "chart", {615, 618, 220210, 224690}, 0, 70, False, False),
    (18, "chart", {646, 220277}, 0, 100, True, False),
]


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{table}.csv.gz", "rt", encoding="utf-8", errors="replace") as file:
        return list(csv.DictReader(file))


def grids(folder: Path, window_hours: int = 48) -> dict[int, dict[tuple[int, int], float]]:
    """For every ICU stay the hourly means of its observed cells: stay → (hour, column) → clinical units."""
    events = defaultdict(list)
    wanted = {
        ("lab" if kind == "lab" else "chart", item)
        for _, kind, items, *_ in RULES
        for item in items
    }
    for kind, table in (("lab", "LABEVENTS"), ("chart", "CHARTEVENTS")):
        for row in rows(folder, table):
            if (kind, int(row["itemid"])) in wanted and row["valuenum"] and row.get("error") != "1":
                events[row["subject_id"]].append((kind, row))
    result = {}
    for stay in rows(folder, "ICUSTAYS"):
        intime = datetime.fromisoformat(stay["intime"])
        cells = defaultdict(list)
        for kind, row in events[stay["subject_id"]]:
            since = datetime.fromisoformat(row["charttime"]) - intime
            if not timedelta(0) <= since < timedelta(hours=window_hours):
                continue
            if row["hadm_id"] and row["hadm_id"] != stay["hadm_id"]:
                continue
            if kind == "chart" and row["icustay_id"] and row["icustay_id"] != stay["icustay_id"]:
                continue
            value = float(row["valuenum"])
            for column, table, items, above, below, counts, fahrenheit in RULES:
                if (
                    table == kind
                    and int(row["itemid"]) in items
                    and value > above
                    and (value < below or (counts and value == below))
                ):
                    cells[since // timedelta(hours=1), column].append(
                        (value - 32) / 1.8 if fahrenheit else value
                    )
        result[int(stay["icustay_id"])] = {
            cell: sum(values) / len(values) for cell, values in cells.items()
        }
    return result


def binned(events: list[tuple[float, int, float]], hours: range) -> list[list[float | None]]:
    """Mean per bin of one stay's events (hour, column, value): 19 series of len(hours) values, None = not observed."""
    found = [
        [
            [v for h, c, v in events if c == column and first <= h < first + hours.step]
            for first in hours
        ]
        for column in range(19)
    ]
    return [
        [sum(values) / len(values) if values else None for values in series] for series in found
    ]


def filled(
    series: list[float | None], interpolation: str, limit_direction: str
) -> list[float | None]:
    """One stay's series of one measurement after gap filling, one bin after the other."""
    result = []
    for i, value in enumerate(series):
        before = next((k for k in range(i, -1, -1) if series[k] is not None), None)
        after = next((k for k in range(i, len(series)) if series[k] is not None), None)
        if value is None and interpolation != "none":
            if before is None and after is not None and limit_direction != "forward":
                value = series[after]
            elif before is not None and after is None and limit_direction != "backward":
                value = series[before]
            elif before is not None and after is not None:
                value = series[before]
                if interpolation == "linear":
                    value += (series[after] - series[before]) * (i - before) / (after - before)
        result.append(value)
    return result


def percentile(values: list[float], p: float) -> float:
    """Linear between the two nearest ranks; 0 of no value."""
    if not values:
        return 0.0
    ordered = sorted(values)
    rank = p / 100 * (len(ordered) - 1)
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def model_input(
    stays: list[list[tuple[float, int, float]]],
    training: list[int],
    hours: range,
    options: dict[str, Any],
) -> list[list[list[float | None]]]:
    """stay → bin → channel, from each stay's events; percentiles and medians from the stays with the numbers `training`."""
    series = [binned(events, hours) for events in stays]
    result = []
    limits = []
    for column in range(19):
        seen = [v for i in training for v in series[i][column] if v is not None]
        limits.append(
            [
                percentile(seen, p)
                for p in (options["lower_percentile"], 50, options["upper_percentile"])
            ]
        )
    for stay in series:
        channels: list[list[float | None]] = []
        for column, (low, median, high) in enumerate(limits):
            series_seen = stay[column]
            if options["winsorise"] == "before_gaps":
                series_seen = [v if v is None else min(max(v, low), high) for v in series_seen]
            values = filled(series_seen, options["interpolation"], options["limit_direction"])
            if options["interpolation"] != "none":
                values = [median if v is None else v for v in values]
            channels.append(
                [
                    v
                    if v is None
                    else (min(max(v, low), high) - low) / (high - low)
                    if high > low
                    else 0.0
                    for v in values
                ]
            )
        for name in options["extra_channels"]:
            for column in range(19):
                last, extra = None, []
                for i, v in enumerate(stay[column]):
                    last = i if v is not None else last
                    since = 1.0 if last is None else (i - last) / len(hours)
                    extra.append(float(v is not None) if name == "observed" else since)
                channels.append(extra)
        result.append([list(values) for values in zip(*channels, strict=True)])
    return result


# The measurements of the set extended beyond the 19: name, table, items, above, highest, whether the
# highest counts, and what a value is multiplied with (None: a row with a value stands for 1).
EXTENDED = [
    ("gcs_eye", "CHARTEVENTS", {184, 220739}, 0, 4, True, 1),
    ("gcs_verbal", "CHARTEVENTS", {723, 223900}, 0, 5, True, 1),
    ("gcs_motor", "CHARTEVENTS", {454, 223901}, 0, 6, True, 1),
    ("gcs", "CHARTEVENTS", {198}, 2, 15, True, 1),
    ("map", "CHARTEVENTS", {456, 52, 6702, 443, 220052, 220181, 225312}, 0, 300, False, 1),
    ("fio2", "CHARTEVENTS", {223835, 3420, 3422, 190}, 20, 100, True, 1),
    ("fio2", "CHARTEVENTS", {223835, 3420, 3422, 190}, 0.2, 1, True, 100),
    ("fio2", "LABEVENTS", {50816}, 20, 100, True, 1),
    ("pao2", "LABEVENTS", {50821}, 0, 800, True, 1),
    ("sao2", "LABEVENTS", {50817}, 0, 100, True, 1),
    ("wbc", "LABEVENTS", {51300, 51301}, 0, 1000, True, 1),
    ("haematocrit", "LABEVENTS", {51221, 50810}, 0, 100, True, 1),
    ("bilirubin", "LABEVENTS", {50885}, 0, 150, True, 1),
    ("alt", "LABEVENTS", {50861}, 0, 50_000, True, 1),
    ("ast", "LABEVENTS", {50878}, 0, 50_000, True, 1),
    ("alp", "LABEVENTS", {50863}, 0, 20_000, True, 1),
    ("cholesterol", "LABEVENTS", {50907}, 0, 2000, True, 1),
    ("troponin_i", "LABEVENTS", {51002}, 0, 1000, True, 1),
    ("troponin_t", "LABEVENTS", {51003}, 0, 100, True, 1),
    (
        "urine",
        "OUTPUTEVENTS",
        {40055, 40069, 40473, 40085, 226559, 226560, 226584},  # those that the demo has
        -1,
        5000,
        False,
        1,
    ),
    (
        "mechvent",
        "CHARTEVENTS",
        {450, 224687, 682, 683, 224685, 224684, 535, 224695, 543, 224696, 506, 220339},
        0,
        10_000,
        False,
        None,
    ),
    ("weight", "CHARTEVENTS", {762, 763, 226512, 224639}, 20, 400, True, 1),
    ("weight", "CHARTEVENTS", {226531}, 44.1, 881, True, 0.45359237),
    ("height", "CHARTEVENTS", {226730}, 100, 250, True, 1),
    ("height", "CHARTEVENTS", {226707, 920}, 39.4, 98, True, 2.54),
]


def extended_events(folder: Path, window_hours: int = 48) -> pd.DataFrame:
    """The events of the demo for the set extended, in their order: stay_id, hour, measurement, value."""
    stays = pd.read_csv(folder / "ICUSTAYS.csv.gz", parse_dates=["intime"])
    stays = stays[["subject_id", "hadm_id", "icustay_id", "intime"]]
    literature = [
        (NAMES[column], f"{kind.upper()}EVENTS", items, above, below, counts, "F" if f else 1)
        for column, kind, items, above, below, counts, f in RULES
    ]
    parts = []
    for table in ("CHARTEVENTS", "LABEVENTS", "OUTPUTEVENTS"):
        raw = pd.read_csv(folder / f"{table}.csv.gz", parse_dates=["charttime"], low_memory=False)
        raw = raw.rename(columns={"value": "valuenum"} if table == "OUTPUTEVENTS" else {})
        raw = raw.assign(icustay_id=raw.get("icustay_id"))
        flag = {"CHARTEVENTS": "error", "OUTPUTEVENTS": "iserror"}.get(table)
        if flag:
            raw = raw[raw[flag] != 1]
        pairs = raw[
            ["subject_id", "hadm_id", "icustay_id", "itemid", "charttime", "valuenum"]
        ].merge(stays, on="subject_id", suffixes=("", "_of_stay"))
        for column in ("hadm_id", "icustay_id"):
            named = pd.to_numeric(pairs[column])
            pairs = pairs[named.isna() | (named == pairs[f"{column}_of_stay"])]
        since = pairs["charttime"] - pairs["intime"]
        within = (since >= pd.Timedelta(0)) & (since < pd.Timedelta(hours=window_hours))
        pairs = pairs.assign(hour=since / pd.Timedelta(hours=1))[within]
        for name, place, items, above, highest, counts, factor in literature + EXTENDED:
            v = pairs["valuenum"]
            fits = (v > above) & ((v < highest) | (counts & (v == highest)))
            if place == table:
                found = pairs[pairs["itemid"].isin(items) & fits]
                v = found["valuenum"]
                value = (
                    (v - 32) / 1.8 if factor == "F" else v * 0 + 1 if factor is None else v * factor
                )
                parts.append(found.assign(measurement=name, value=value))
    key = ["icustay_id_of_stay", "hour", "measurement", "value"]
    events = pd.concat(parts).drop_duplicates([*key, "itemid"])[[*key, "charttime"]]
    scores = ["gcs_eye", "gcs_verbal", "gcs_motor"]
    totals = []
    charted = events[events["measurement"].isin([*scores, "gcs"])]
    for (stay, hour), group in charted.groupby(["icustay_id_of_stay", "hour"]):
        values: dict[str, set[float]] = {}
        for name, value in zip(group["measurement"], group["value"], strict=True):
            values.setdefault(name, set()).add(value)
        if "gcs" not in values and all(len(values.get(name, ())) == 1 for name in scores):
            totals.append((stay, hour, "gcs", sum(sum(values[name]) for name in scores)))
    events = pd.concat([events[key], pd.DataFrame(totals, columns=key)])
    events = events.rename(columns={"icustay_id_of_stay": "stay_id"})
    events = events.astype({"hour": "float32"}).sort_values(
        ["stay_id", "hour", "measurement", "value"]
    )
    return events.astype({"value": "float32"}).reset_index(drop=True)
