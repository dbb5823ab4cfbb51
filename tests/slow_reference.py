"""An independent, slow reading of MIMIC-III: plain Python, one stay after the other, straight from the raw CSV and SPEC's rules."""

import csv
import gzip
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

# (column, table, items, above, below, below counts, Fahrenheit), written out again on purpose
RULES = [
    (0, "lab", {50822}, 0, 1e30, True, False),
    (0, "lab", {50971}, 0, 30, True, False),
    (1, "lab", {50808}, 0, 1e30, True, False),
    (2, "lab", {50820}, 0, 1e30, True, False),
    (3, "lab", {50818}, 0, 1e30, True, False),
    (4, "lab", {50813}, 0, 50, True, False),
    (5, "lab", {50862}, 0, 10, True, False),
    (6, "lab", {51006}, 0, 300, True, False),
    (7, "lab", {50912}, 0, 150, True, False),
    (8, "lab", {50983}, 0, 200, True, False),
    (9, "lab", {50882}, 0, 10000, True, False),
    (10, "lab", {51265}, 0, 10000, True, False),
    (11, "lab", {50931}, 0, 10000, True, False),
    (12, "lab", {50960}, 0, 1e30, True, False),
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
    wanted = {("lab" if kind == "lab" else "chart", item) for _, kind, items, *_ in RULES for item in items}
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
                if table == kind and int(row["itemid"]) in items and value > above and (value < below or (counts and value == below)):
                    cells[since // timedelta(hours=1), column].append((value - 32) / 1.8 if fahrenheit else value)
        result[int(stay["icustay_id"])] = {cell: sum(values) / len(values) for cell, values in cells.items()}
    return result
