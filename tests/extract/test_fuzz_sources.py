"""Damaged rows and files of every source: each input is read right, or refused in one line.

The readers in tests/slow_events.py give the right result. An input has three stays or more and
about 130 random rows of the set `extended`. About half of the rows have a field that a record
should not have. The suite reads some inputs. This reads 1,000 over all sources:

FUZZ=1000 python -m pytest tests/extract/test_fuzz_sources.py
"""

import csv
import gzip
import io
import os
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import slow_events
from damage import flipped
from golden import CODE_MAP, DATA, collect
from slow_events import Event, Row, Stay

from icu_adversarial.config.extract import HAVE_STORED
from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.registry import read
from icu_adversarial.extract.units import SPELLINGS
from icu_adversarial.measurements import SETS, Measurement, Rows, choose

SOURCES = ("mimiciii", "mimiciv", "eicu", "challenge2012", "meds")
INPUTS = int(os.environ.get("FUZZ", "50")) // len(SOURCES)  # of each source
NAMES = SETS["extended"]
WORD = "zebra"  # never to be seen in a message: it stands for a patient's value
Tables = dict[str, list[Row]]
Input = tuple[Tables, list[Event]]

INTIMES = [datetime(2150, 1, 1, 10), datetime(2150, 1, 2, 12), datetime(2150, 6, 1)]
STAYS = [
    Stay(stay, subject, hadm, intime)
    for (stay, subject, hadm), intime in zip(
        [(1, 1, 10), (2, 1, 10), (3, 2, 20)], INTIMES, strict=True
    )
]


class Dice:
    """Random rows. The same number gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def rarely(self, usual: Any, *others: Any) -> Any:
        """The usual value, or in one of seven cases another one."""
        return self.one(others) if self.rng.random() < 1 / 7 else usual

    def code(self, measurements: tuple[Measurement, ...], source: str) -> tuple[Rows, str]:
        rows = self.one([rows for m in measurements for rows in getattr(m, source)])
        return rows, self.one(list(rows.codes))

    def value(self, rows: Rows) -> str:
        """Within the limits, on one of them, or one that no patient has."""
        low, high = rows.limits.above, rows.limits.highest
        usual = f"{self.rng.uniform(low, min(high, low + 200)):.3f}"
        beyond = repr(float(np.nextafter(high, np.inf)))
        return self.rarely(
            usual, repr(low), repr(high), beyond, "", "<5", "-1", "0", "NaN", "1e308", "99999", "50"
        )

    def unit(self, rows: Rows) -> str:
        usual = [rows.unit] if rows.unit else [*rows.read_as, ""]
        spelled = self.one(SPELLINGS[self.one(list(SPELLINGS))])
        return self.rarely(self.one(usual), "", WORD, spelled, spelled.upper(), f" {spelled}")

    def time(self, stay: Stay) -> str:
        """In the window or near to it; few times, so that values meet."""
        after = timedelta(hours=float(self.one([0, 1, 2, 2.5, 30, 47])))
        edges = [-1, 48 * 3600 - 1, 48 * 3600, 49 * 3600]
        found = [stay.intime + after, *(stay.intime + timedelta(seconds=s) for s in edges)]
        far = ["", "0001-01-01 00:00:00", "2300-02-28 00:00:00"]
        return self.rarely(str(found[0]), *map(str, found[1:]), *far)

    def minute(self) -> str:
        return self.rarely(
            self.one(["0", "60", "61", "150", "2000"]), "", "-1", "2879", "2880", "999999"
        )

    def with_copies(self, rows: list[Row]) -> list[Row]:
        return [*rows, *(dict(self.one(rows)) for _ in range(len(rows) // 8))] if rows else []


def mimic(dice: Dice, source: str, lab_time: str) -> Input:
    """MIMIC-III, and MIMIC-IV with other names of columns. Glasgow Coma Scales are frequent."""
    measurements = CHOSEN[source]
    scales = tuple(m for m in measurements if m.name.startswith("gcs"))
    tables: Tables = {"CHARTEVENTS": [], "LABEVENTS": [], "OUTPUTEVENTS": []}
    for i in range(120):
        rows, item = dice.code(scales if i < 30 else measurements, "mimic")
        stay = dice.one(STAYS)
        value = "value" if rows.table == "outputevents" else "valuenum"
        row = {
            "subject_id": dice.rarely(str(stay.subject), "1", "2", "77", ""),
            "hadm_id": dice.rarely(str(stay.hadm), "10", "20", "77", ""),
            "itemid": dice.rarely(item, "1", "50809", ""),
            "charttime": dice.time(stay),
            value: dice.value(rows),
            "valueuom": dice.unit(rows),
        }
        if rows.table == "labevents":
            row["storetime"] = dice.time(stay)
        else:
            row["icustay_id"] = dice.rarely(str(stay.stay), "1", "2", "3", "77", "")
            flag = "error" if rows.table == "chartevents" else "iserror"
            row |= {} if source == "mimiciv" else {flag: dice.rarely("0", "1", "", "2")}
        tables[rows.table.upper()].append(row)
    tables = {name: dice.with_copies(rows) for name, rows in tables.items()}
    column = "storetime" if lab_time == "stored" else "charttime"
    return tables, slow_events.mimic(tables, STAYS, measurements, column)


def write_mimic(folder: Path, tables: Tables, source: str) -> None:
    names = {"icustay_id": "stay_id"} if source == "mimiciv" else {}
    empty = {"deathtime": "", "dischtime": "2150-07-09 10:00:00", "hospital_expire_flag": "0"}
    intime = {stay.hadm: str(stay.intime) for stay in reversed(STAYS)}
    of_stays = {
        "PATIENTS": [
            {"subject_id": s, "gender": "F", "dob": "2090-01-01 00:00:00", "dod": ""}
            | {"anchor_age": "60", "anchor_year": "2150", "anchor_year_group": "2008 - 2010"}
            for s in ("1", "2")
        ],
        "ADMISSIONS": [
            {"subject_id": s, "hadm_id": str(h), "admittime": intime[h]} | empty
            for s, h in (("1", 10), ("2", 20))
        ],
        "ICUSTAYS": [
            {"subject_id": str(s.subject), "hadm_id": str(s.hadm), "icustay_id": str(s.stay)}
            | {"dbsource": "carevue", "first_careunit": "MICU", "intime": str(s.intime)}
            | {"outtime": str(s.intime + timedelta(days=3))}
            for s in STAYS
        ],
    }
    columns = {
        "CHARTEVENTS": "subject_id hadm_id icustay_id itemid charttime valuenum valueuom error",
        "LABEVENTS": "subject_id hadm_id itemid charttime storetime valuenum valueuom",
        "OUTPUTEVENTS": "subject_id hadm_id icustay_id itemid charttime value valueuom iserror",
    }
    for name, rows in (of_stays | tables).items():
        header = columns[name].split() if name in columns else list(rows[0])
        header = [c for c in header if not (c in ("error", "iserror") and source == "mimiciv")]
        write_csv(folder / f"{name}.csv", header, rows, names)


def write_csv(
    file: Path, header: list[str], rows: list[Row], names: dict[str, str] | None = None
) -> None:
    text = io.StringIO()
    lines = [[(names or {}).get(c, c) for c in header], *([r[c] for c in header] for r in rows)]
    csv.writer(text, lineterminator="\n").writerows(lines)
    file.write_text(text.getvalue())


def template(table: str) -> list[Row]:
    """The rows of a table in tests/data/eicu_extended, without the column `why`."""
    with (DATA / "eicu_extended" / f"{table}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{key: row[key] for key in row if key != "why"} for row in rows]


EICU = {
    file.stem: template(file.stem)
    for file in sorted((DATA / "eicu_extended").glob("*.csv"))
    if not file.stem.startswith("expected")
}
EICU_STAYS = [1, 2, 3, 4, 5, 6]  # the seventh is no ICU stay
MONITORS = {"vitalPeriodic": EICU["vitalPeriodic"][0], "vitalAperiodic": EICU["vitalAperiodic"][0]}


def eicu(dice: Dice, source: str, lab_time: str) -> Input:
    measurements = CHOSEN[source]
    tables: Tables = {name: [] for name in EICU}
    tables["patient"] = [
        row
        | {
            "admissionweight": dice.rarely("80", "", "170", "15", "0", "NaN", "1e308"),
            "admissionheight": dice.rarely("175", "", "70", "1.8", "17.5", "0", "251", "250"),
        }
        for row in EICU["patient"]
    ]
    patterns = [
        c for m in measurements for r in m.eicu if r.table == "intakeoutput" for c in r.codes
    ]
    spelled = {name.lower(): name for name in EICU}
    for _ in range(120):
        rows, name = dice.code(measurements, "eicu")
        stay, minute = str(dice.one([*EICU_STAYS[:3], *EICU_STAYS])), dice.minute()
        at = {"patientunitstayid": dice.rarely(stay, "7", "77", "")}
        value = dice.value(rows)
        label, _, last = name.rpartition("|")
        charted = dice.rarely(value, f"{value} %", f" {value}", f"+{value}", ".5", "5.", "ORAL")
        path = dice.rarely(dice.one(patterns), "drain", "foley pacu", "urine\n").replace("%", " x")
        if rows.table == "lab":
            revised = dice.rarely(minute, "", "70", "2900")
            unit = dice.unit(rows)
            row = {"labresultoffset": minute, "labname": dice.rarely(name, "", WORD)}
            row |= {"labresult": value, "labmeasurenameinterface": unit}
            row |= {"labresultrevisedoffset": revised}
        elif rows.table == "nursecharting":
            row = {"nursingchartoffset": minute, "nursingchartcelltypevallabel": label}
            row |= {"nursingchartcelltypevalname": last, "nursingchartvalue": charted}
        elif rows.table == "respiratorycharting":
            row = {"respchartoffset": minute, "respchartvaluelabel": name}
            row |= {"respchartvalue": charted}
        elif rows.table == "intakeoutput":
            head = dice.rarely("flowsheet|Flowsheet Cell Labels|I&O|Output (ml)|", "Output (ml)|")
            row = {"intakeoutputoffset": minute, "cellpath": head + path}
            row |= {"cellvaluenumeric": value}
        elif rows.table == "patient":
            continue
        else:
            row = dict.fromkeys(MONITORS[spelled[rows.table]], "") | {"observationoffset": minute}
            row |= {name: value}
        table = spelled[rows.table]
        tables[table].append(dict.fromkeys(EICU[table][0], "") | row | at)
    tables = {
        name: rows if name == "patient" else dice.with_copies(rows) for name, rows in tables.items()
    }
    return tables, slow_events.eicu(tables, EICU_STAYS, measurements, lab_time == "stored")


def write_eicu(folder: Path, tables: Tables, _: str) -> None:
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", list(EICU[name][0]), rows)


def challenge(dice: Dice, source: str, _: str) -> Input:
    measurements = CHOSEN[source]
    records: Tables = {"3": [], "7": [], "9": []}
    for _ in range(120):
        rows, parameter = dice.code(measurements, "challenge2012")
        value = dice.value(rows).replace("<5", "")
        clock = dice.one(["00:00", "01:00", "01:30", "47:59"])
        row = {"clock": dice.rarely(clock, "48:00", "99:59", "0:07")}
        row |= {"parameter": dice.rarely(parameter, "", WORD), "value": value}
        records[dice.one(list(records))].append(row)
    records = {name: dice.with_copies(rows) for name, rows in records.items()}
    lines = {
        int(stay): [(r["clock"], r["parameter"], r["value"]) for r in rows]
        for stay, rows in records.items()
    }
    return records, slow_events.challenge(lines, measurements)


def write_challenge(folder: Path, records: Tables, _: str) -> None:
    (folder / "set-a").mkdir()
    head = "Time,Parameter,Value\n00:00,Age,54\n00:00,Gender,1\n00:00,ICUType,4\n"
    for stay, rows in records.items():
        lines = "".join(f"{r['clock']},{r['parameter']},{r['value']}\n" for r in rows)
        (folder / "set-a" / f"{stay}.txt").write_text(head + lines)
    outcomes = "".join(f"{stay},5,-1,0\n" for stay in records)
    (folder / "Outcomes-a.txt").write_text(
        "RecordID,Length_of_stay,Survival,In-hospital_death\n" + outcomes
    )


with CODE_MAP.open() as _file:
    CODES = [r for r in csv.DictReader(x for x in _file if x[0] != "#") if r["stands_for"] in NAMES]


def meds(dice: Dice, source: str, _: str) -> Input:
    measurements = CHOSEN[source]
    by_name = {m.name: m for m in measurements}
    events: list[Row] = []
    for i in range(120):
        line = dice.one([c for c in CODES if i > 40 or c["stands_for"].startswith(("gcs", "fio2"))])
        stay, m = dice.one(STAYS), by_name[line["stands_for"]]
        ranges = [r for r in m.mimic if r.limits != m.limits] or [
            Rows(codes={}, limits=m.limits, read_as=())
        ]
        events.append(
            {
                "subject_id": dice.rarely(str(stay.subject), "1", "2", "77"),
                "time": dice.time(stay),
                "code": dice.rarely(line["code"].replace("*", "UNK"), WORD, line["code"][:-2]),
                "numeric_value": dice.value(dice.one(ranges)).replace("<5", ""),
            }
        )
    events = dice.with_copies(events)
    return {"events": events}, slow_events.meds(events, STAYS, measurements, CODE_MAP)


def write_meds(folder: Path, tables: Tables, _: str) -> None:
    marks = [("HOSPITAL_ADMISSION//X", s.subject, s.intime) for s in STAYS if s.stay != 2]
    marks += [("ICU_ADMISSION//MICU", s.subject, s.intime) for s in STAYS]
    marks += [("HOSPITAL_DISCHARGE//HOME", n, datetime(2150, 7, 9, 10)) for n in (1, 2)]
    rows = [
        {"subject_id": str(n), "time": str(time), "code": code, "numeric_value": ""}
        for code, n, time in marks
    ]
    frame = pd.DataFrame(rows + tables["events"])
    frame["time"] = pd.to_datetime(frame["time"].replace("", None)).astype("datetime64[s]")
    with np.errstate(over="ignore"):
        frame["numeric_value"] = [np.float32(v) if v else None for v in frame["numeric_value"]]
    frame = frame.astype({"numeric_value": "float32"})
    (folder / "data").mkdir()
    frame.astype({"subject_id": "int64"}).to_parquet(folder / "data" / "0.parquet")


MAKE: dict[str, Callable[[Dice, str, str], Input]] = {
    "mimiciii": mimic,
    "mimiciv": mimic,
    "eicu": eicu,
    "challenge2012": challenge,
    "meds": meds,
}
WRITE: dict[str, Callable[[Path, Tables, str], None]] = {
    "mimiciii": write_mimic,
    "mimiciv": write_mimic,
    "eicu": write_eicu,
    "challenge2012": write_challenge,
    "meds": write_meds,
}


CHOSEN = {source: choose(NAMES, source) for source in SOURCES}


def extract(source: str, raw: Path, lab_time: str = "drawn") -> tuple[pd.DataFrame, list[Event]]:
    """The stays and events."""
    stays, events = collect(read(source, raw, 48, CHOSEN[source], CODE_MAP, lab_time))
    names = events["measurement"].astype(str)
    return stays, list(zip(events["stay_id"], events["hour"], names, events["value"], strict=True))


def assert_same(found: list[Event], expected: list[Event]) -> None:
    assert [event[:3] for event in found] == [event[:3] for event in expected]
    np.testing.assert_allclose([e[3] for e in found], [e[3] for e in expected], rtol=1e-6)


@pytest.mark.parametrize("source", SOURCES)
def test_damaged_rows(source: str, tmp_path: Path) -> None:
    known, kept = None, 0
    for seed in range(INPUTS):
        raw = tmp_path / str(seed)
        raw.mkdir()
        both = seed % 2 and source in HAVE_STORED
        lab_time = "stored" if both else "drawn"
        tables, expected = MAKE[source](Dice(seed), source, lab_time)
        WRITE[source](raw, tables, source)
        stays, found = extract(source, raw, lab_time)
        assert_same(found, expected)
        known = stays if known is None else known
        pd.testing.assert_frame_equal(stays, known)
        kept += len(found)
        shutil.rmtree(raw)
    assert 40 * INPUTS < kept < 120 * INPUTS


# Columns of whole numbers and times, of which no text is one.
TYPED = {
    "mimiciii": ("LABEVENTS", ["subject_id", "hadm_id", "charttime"]),
    "mimiciv": ("CHARTEVENTS", ["subject_id", "stay_id", "charttime"]),
    "eicu": ("lab", ["patientunitstayid", "labresultoffset", "labresultrevisedoffset"]),
    "challenge2012": ("set-a/7.txt", ["Time", "Value"]),
}


def refused(source: str, raw: Path) -> str:
    """The one line that refuses the records. It shows no value."""
    with pytest.raises(InputError) as error:
        extract(source, raw)
    said = str(error.value)
    assert "\n" not in said
    assert WORD not in said
    assert said.startswith(str(raw))
    return said


@pytest.mark.parametrize(
    ("source", "place"), [(s, i) for s in TYPED for i in range(len(TYPED[s][1]))]
)
def test_a_text_that_is_no_number_or_time_is_refused(
    source: str, place: int, tmp_path: Path
) -> None:
    tables, _ = MAKE[source](Dice(0), source, "drawn")
    WRITE[source](tmp_path, tables, source)
    name, columns = TYPED[source]
    file = tmp_path / (name if "." in name else f"{name}.csv")
    header, *rows = csv.reader(file.read_text().splitlines())
    code = next((i for i, c in enumerate(header) if c in ("itemid", "labname")), None)
    known = {
        c
        for m in CHOSEN[source]
        for r in (m.eicu if source == "eicu" else m.mimic)
        for c in r.codes
    }
    row = next(row for row in rows[3:] if code is None or row[code] in known)
    row[header.index(columns[place])] = WORD
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    file.write_text(text.getvalue())
    refused(source, tmp_path)


def recoded(
    change: Callable[[list[list[str]]], list[list[str]]], **how: Any
) -> Callable[[bytes], bytes]:
    """What changes a CSV file as a table, or how it is written."""

    def changed(content: bytes) -> bytes:
        text = io.StringIO()
        rows = list(csv.reader(io.StringIO(content.decode())))
        csv.writer(text, **({"lineterminator": "\n"} | how)).writerows(change(rows))
        return text.getvalue().encode()

    return changed


HARMLESS = {
    "windows line ends": recoded(lambda rows: rows, lineterminator="\r\n"),
    "quoted": recoded(lambda rows: rows, quoting=csv.QUOTE_ALL),
    "columns in another order": recoded(lambda rows: [row[::-1] for row in rows]),
    "rows in another order": recoded(lambda rows: [rows[0], *rows[:0:-1]]),
    "capital letters": recoded(lambda rows: [[c.upper() for c in rows[0]], *rows[1:]]),
    "a column more": recoded(lambda rows: [[WORD, *row] for row in rows]),
    "packed": gzip.compress,
    "packed in two": lambda content: gzip.compress(content[:99]) + gzip.compress(content[99:]),
}
FATAL = {
    "half of a packed file": lambda content: gzip.compress(content)[
        : len(gzip.compress(content)) // 2
    ],
    "one wrong byte": lambda content: flipped(gzip.compress(content), 0.6),
    "no bytes": lambda _: b"",
    "wrong delimiter": recoded(lambda rows: rows, delimiter=";"),
    "no header": recoded(lambda rows: rows[1:]),
    "missing": None,
}


def rewrite(file: Path, change: Callable[[bytes], bytes] | None) -> None:
    """Replace a CSV file. A result that is packed gets the ending of packed files."""
    content = file.read_bytes()
    file.unlink()
    if change is not None:
        new = change(content)
        packed = new[:2] == b"\x1f\x8b"
        file.with_name(file.name + ".gz" * packed).write_bytes(new)


TABLES = {
    "mimiciv": ["PATIENTS", "ICUSTAYS", "CHARTEVENTS", "OUTPUTEVENTS"],
    "eicu": ["patient", "lab", "nurseCharting", "intakeOutput"],
}


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("source", TABLES)
def test_files_that_say_the_same(source: str, kind: str, tmp_path: Path) -> None:
    tables, expected = MAKE[source](Dice(1), source, "drawn")
    WRITE[source](tmp_path, tables, source)
    for table in TABLES[source]:
        rewrite(tmp_path / f"{table}.csv", HARMLESS[kind])
    assert_same(extract(source, tmp_path)[1], expected)


@pytest.mark.parametrize("kind", FATAL)
@pytest.mark.parametrize(
    ("source", "table"), [(s, t) for s, names in TABLES.items() for t in names]
)
def test_files_that_are_damaged(source: str, table: str, kind: str, tmp_path: Path) -> None:
    tables, _ = MAKE[source](Dice(2), source, "drawn")
    WRITE[source](tmp_path, tables, source)
    rewrite(tmp_path / f"{table}.csv", FATAL[kind])
    refused(source, tmp_path)


@pytest.mark.parametrize(
    "change", [lambda c: c[: len(c) // 2], lambda c: c[:-1], lambda c: b"" * len(c)]
)
def test_a_damaged_file_of_meds(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    tables, _ = meds(Dice(2), "meds", "drawn")
    write_meds(tmp_path, tables, "meds")
    file = tmp_path / "data" / "0.parquet"
    file.write_bytes(change(file.read_bytes()))
    refused("meds", tmp_path)
