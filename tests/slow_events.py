"""Independent, slow readers of the events of every source: plain Python, one row after the other.

They read the dictionary of measurements as data. Rows are dicts of texts; "" is null. The stays are
given: stay id → its number, or what its rows name.
"""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from icu_adversarial.extract.units import SPELLINGS
from icu_adversarial.measurements import Measurement, Rows

WINDOW = 48
Row = dict[str, str]
Event = tuple[int, float, str, float]  # stay, hour, measurement, value
UNIT_OF = {spelling: unit for unit, spellings in SPELLINGS.items() for spelling in spellings}


class Stay(NamedTuple):
    """An ICU stay of MIMIC or MEDS."""

    stay: int
    subject: int
    hadm: int
    intime: datetime


def whole(text: str) -> int | None:
    return int(text) if text else None


def number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def fits(rows: Rows, value: float) -> bool:
    high = rows.limits.highest
    below = value <= high if rows.limits.highest_counts else value < high
    return value > rows.limits.above and below


def stored(rows: Rows, value: float) -> float:
    if rows.means_one:
        return 1.0
    return (value - 32) / 1.8 if rows.fahrenheit else value * rows.factor


def hour_in(charted: datetime | None, intime: datetime) -> float | None:
    """The hour of a time in a stay; None outside the window."""
    if charted is None or charted < intime or charted >= intime + timedelta(hours=WINDOW):
        return None
    hour = float(np.float32((charted - intime).total_seconds() / 3600))
    return hour if hour < WINDOW else None


def events_of(found: Iterable[tuple[int, float, str, float, Any]]) -> list[Event]:
    """Sorted events; identical rows, which also have the same code, count once."""
    return sorted((s, h, m, float(np.float32(v))) for s, h, m, v, _ in set(found))


def with_sums(
    found: list[tuple[int, float, str, float, Any]], measurements: tuple[Measurement, ...]
) -> list[tuple[int, float, str, float, Any]]:
    """The same, with the sums of what has one value of each part at one time."""
    sums = []
    for m in (m for m in measurements if m.sum_of):
        at: dict[tuple[int, float], set[tuple[str, float]]] = defaultdict(set)
        for stay, hour, name, value, _ in found:
            if name == m.name or name in m.sum_of:
                at[stay, hour].add((name, value))
        for (stay, hour), values in at.items():
            total = sum(value for _, value in values)
            if sorted(name for name, _ in values) == sorted(m.sum_of) and (
                m.limits.above < total <= m.limits.highest
            ):
                sums.append((stay, hour, m.name, total, "sum"))
    return found + sums


def mimic(
    tables: dict[str, list[Row]],
    stays: list[Stay],
    measurements: tuple[Measurement, ...],
    lab_time: str = "charttime",
) -> list[Event]:
    """MIMIC-III, and MIMIC-IV with stay_id called icustay_id."""
    entries: dict[int, tuple[str, list[Rows]]] = {}
    for m in measurements:
        for rows in m.mimic:
            for code in rows.codes:
                entries.setdefault(int(code), (m.name, []))[1].append(rows)
    found = []
    for table, rows_of_table in tables.items():
        for row in rows_of_table:
            item = whole(row["itemid"])
            if item not in entries or "1" in (row.get("error"), row.get("iserror")):
                continue
            name, ranges = entries[item]
            value = number(row["value" if table == "OUTPUTEVENTS" else "valuenum"])
            if ranges[0].table != table.lower() or value is None:
                continue
            unit = UNIT_OF.get(
                row["valueuom"].replace(" ", "").replace("µ", "u").replace("μ", "u").lower()
            )
            usual = (ranges[0].unit,) if ranges[0].unit else ranges[0].read_as
            if unit and unit not in usual and not ranges[0].means_one:
                continue
            fitting = [one for one in ranges if fits(one, value)]
            time = row[lab_time if table == "LABEVENTS" else "charttime"]
            charted = datetime.fromisoformat(time) if time else None
            for stay in stays if fitting else ():
                hour = hour_in(charted, stay.intime)
                if (
                    hour is not None
                    and whole(row["subject_id"]) == stay.subject
                    and whole(row["hadm_id"]) in (None, stay.hadm)
                    and whole(row.get("icustay_id", "")) in (None, stay.stay)
                ):
                    found.append((stay.stay, hour, name, stored(fitting[0], value), item))
    return events_of(with_sums(found, measurements))


def challenge(
    records: dict[int, list[tuple[str, str, str]]], measurements: tuple[Measurement, ...]
) -> list[Event]:
    """Challenge 2012: stay → lines of HH:MM, parameter and value."""
    found = []
    for stay, lines in records.items():
        for clock, parameter, text in lines:
            hours, minutes = map(int, clock.split(":"))
            value = number(text)
            for m in measurements:
                for rows in m.challenge2012:
                    if parameter in rows.codes and value is not None and fits(rows, value):
                        hour = float(np.float32(np.float32(hours + minutes / 60)))
                        if hour < WINDOW:
                            found.append((stay, hour, m.name, stored(rows, value), parameter))
    return events_of(found)


NURSE_NUMBER = re.compile(r"\s*([-+]?(\d{1,9}(\.\d*)?|\.\d+))\s*%?")


def _eicu_rows(
    tables: dict[str, list[Row]], measurements: tuple[Measurement, ...], after: bool
) -> Iterator[tuple[str, Row, int | None, str, float | None, str]]:
    """Table, row, minute, name, value and unit ("" for the usual one) of every row."""
    named = [
        (rows.table, name, rows) for m in measurements for rows in m.eicu for name in rows.codes
    ]
    usual = defaultdict(set)
    for table, name, rows in named:
        if table == "lab" and not rows.unit:
            usual[name] |= set(rows.read_as)
    last: dict[tuple[str, str, str], int] = {}
    for row in tables["lab"]:
        revised = whole(row["labresultrevisedoffset"])
        if revised is not None and (not after or revised < 60 * WINDOW):
            key = row["patientunitstayid"], row["labname"], row["labresultoffset"]
            last[key] = max(revised, last.get(key, revised))
    for row in tables["lab"]:
        key = row["patientunitstayid"], row["labname"], row["labresultoffset"]
        revised = whole(row["labresultrevisedoffset"])
        if revised == last.get(key):
            text = "".join(
                c if " " <= c <= "~" else "u"
                for c in row["labmeasurenameinterface"].replace(" ", "")
            ).lower()
            unit = UNIT_OF.get(text, "unknown") if text else ""
            minute = revised if after else whole(row["labresultoffset"])
            unit = "" if unit in usual[row["labname"]] else unit
            yield "lab", row, minute, row["labname"], number(row["labresult"]), unit
    for table in ("vitalPeriodic", "vitalAperiodic"):
        for column in dict.fromkeys(name for place, name, _ in named if place == table.lower()):
            for row in tables[table]:
                minute = whole(row["observationoffset"])
                yield table.lower(), row, minute, column, number(row[column]), ""
    for row in tables["nurseCharting"]:
        name = row["nursingchartcelltypevalname"]
        name = f"{row['nursingchartcelltypevallabel']}|Value" if name == "Value" else name
        match = NURSE_NUMBER.fullmatch(row["nursingchartvalue"])
        minute = whole(row["nursingchartoffset"])
        yield "nursecharting", row, minute, name, float(match[1]) if match else None, ""
    for row in tables["respiratoryCharting"]:
        match = NURSE_NUMBER.fullmatch(row["respchartvalue"])
        minute, name = whole(row["respchartoffset"]), row["respchartvaluelabel"]
        yield "respiratorycharting", row, minute, name, float(match[1]) if match else None, ""
    head = "flowsheet|flowsheet cell labels|i&o|output (ml)|"
    paths = [
        (name, re.escape(head + name).replace("%", ".*"))
        for table, name, _ in named
        if table == "intakeoutput"
    ]
    for row in tables["intakeOutput"]:
        path = row["cellpath"].lower()
        fitting = [name for name, pattern in paths if re.fullmatch(pattern, path, re.DOTALL)]
        if fitting and not re.search(r"\|foley.*(pacu|or|ir)", path, re.DOTALL):
            minute, value = whole(row["intakeoutputoffset"]), number(row["cellvaluenumeric"])
            yield "intakeoutput", row, minute, fitting[0], value, ""
    for row in tables["patient"]:
        weight, height = (number(row[f"admission{name}"]) for name in ("weight", "height"))
        if weight and height and weight >= 100 and 25 < height <= 100 and weight - height >= 20:
            weight, height = height, weight
        yield "patient", row, 0, "admissionweight", weight, ""
        yield "patient", row, 0, "admissionheight", height, ""


def eicu(
    tables: dict[str, list[Row]],
    stays: list[int],
    measurements: tuple[Measurement, ...],
    after: bool = False,
) -> list[Event]:
    """eICU. after: a result counts from the time when it was stored."""
    found = []
    for table, row, minute, name, value, unit in _eicu_rows(tables, measurements, after):
        stay = whole(row["patientunitstayid"])
        if stay not in stays or minute is None or not 0 <= minute < 60 * WINDOW or value is None:
            continue
        for m in measurements:
            for rows in m.eicu:
                stated = rows.unit if table == "lab" else ""
                named = rows.table == table and name in rows.codes and unit == stated
                if named and fits(rows, value):
                    found.append((stay, minute, m.name, stored(rows, value), (table, name)))
    monitored = {(s, n // 60, m) for s, n, m, _, (table, _) in found if table != "nursecharting"}
    return events_of(
        (s, float(np.float32(n / 60)), m, v, code)
        for s, n, m, v, code in found
        if code[0] != "nursecharting" or (s, n // 60, m) not in monitored
    )


def meds(
    rows: list[Row], stays: list[Stay], measurements: tuple[Measurement, ...], code_map: Path
) -> list[Event]:
    """MEDS, whose numeric_value is float32."""
    lines = [x for x in code_map.read_text().splitlines() if x.strip() and x[0] != "#"]
    meanings = list(csv.DictReader(lines))
    by_name = {m.name: m for m in measurements}
    found = []
    for row in rows:
        value = number(row["numeric_value"])
        for meaning in meanings if value is not None else ():
            prefix, name = meaning["code"], meaning["stands_for"]
            same = row["code"] == prefix
            if prefix[-1] == "*":
                same = row["code"].startswith(prefix[:-1])
            if not same or name not in by_name:
                continue
            m = by_name[name]
            with np.errstate(over="ignore"):  # a number that float32 does not hold is infinite
                held = float(np.float32(value))
            plain = held * float(meaning["factor"] or 1) + float(meaning["offset"] or 0)
            own = Rows(codes={}, limits=m.limits, read_as=(), means_one=m.kind == "binary")
            ranges = [own, *(r for r in m.mimic if not r.unit and r.factor != 1)]
            fitting = [one for one in ranges if fits(one, plain)]
            charted = datetime.fromisoformat(row["time"]) if row["time"] else None
            for stay in stays if fitting else ():
                hour = hour_in(charted, stay.intime)
                if hour is not None and whole(row["subject_id"]) == stay.subject:
                    v = float(np.float32(stored(fitting[0], plain)))
                    found.append((stay.stay, hour, name, v, row["code"]))
    return events_of(with_sums(found, measurements))
