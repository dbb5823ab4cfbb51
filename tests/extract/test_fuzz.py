"""Bad input: raw MIMIC-III tables, damaged as files get damaged. A case gives the right tables, or one clear line, exit code 1 and no output.

A second reader gives the right result of the same damaged tables: plain Python, row by row. The
suite tries some inputs of each kind. `FUZZ=1000` tries 22, as in test_fuzz_sources.py.
"""

import contextlib
import csv
import functools
import gzip
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import slow_reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from literature_set import NAMES

from icu_adversarial import cli
from icu_adversarial.config.params import Params, load_params
from icu_adversarial.core import paths
from icu_adversarial.core.schemas import EVENTS, STAYS, read_table

CASES = 22 if "FUZZ" in os.environ else 6  # of each of 24 kinds of damage
ROOT = Path(__file__).parents[2]
SUBJECTS, EVENTS_PER_TABLE = 5, 150

Table = list[list[str]]  # the header, then the rows
Tables = dict[str, Table]
ITEMS = {
    "CHARTEVENTS": {
        item for _, kind, items, *_ in slow_reference.RULES if kind == "chart" for item in items
    },
    "LABEVENTS": {
        item for _, kind, items, *_ in slow_reference.RULES if kind == "lab" for item in items
    },
}
# What the tables must hold, and with which type.
USED = {
    "PATIENTS": {"subject_id": int, "gender": str, "dob": "time", "dod": "time"},
    "ADMISSIONS": {
        "subject_id": int,
        "hadm_id": int,
        "admittime": "time",
        "dischtime": "time",
        "deathtime": "time",
        "hospital_expire_flag": int,
    },
    "ICUSTAYS": {
        "subject_id": int,
        "hadm_id": int,
        "icustay_id": int,
        "dbsource": str,
        "first_careunit": str,
        "intime": "time",
        "outtime": "time",
    },
    "CHARTEVENTS": {
        "subject_id": int,
        "hadm_id": int,
        "icustay_id": int,
        "itemid": int,
        "charttime": "time",
        "valuenum": float,
        "valueuom": str,
        "error": int,
    },
    "LABEVENTS": {
        "subject_id": int,
        "hadm_id": int,
        "itemid": int,
        "charttime": "time",
        "valuenum": float,
        "valueuom": str,
    },
}


@pytest.fixture(scope="module")
def demo(mimic_demo: Path) -> Tables:
    """A few subjects of the demo: all their stays, and some of their events that count, with some that do not."""
    tables: Tables = {}
    for name in USED:
        with gzip.open(
            mimic_demo / f"{name}.csv.gz", "rt", encoding="utf-8", errors="replace", newline=""
        ) as file:
            tables[name] = list(csv.reader(file))
    subject = tables["ICUSTAYS"][0].index("subject_id")
    chosen = sorted({row[subject] for row in tables["ICUSTAYS"][1:]})[:SUBJECTS]
    generator = np.random.default_rng(0)
    for name, (header, *rows) in tables.items():
        if "subject_id" in header:
            rows = [row for row in rows if row[header.index("subject_id")] in chosen]
        if name in ITEMS:
            counts = np.array([int(row[header.index("itemid")]) in ITEMS[name] for row in rows])
            some = [
                *generator.permutation(np.flatnonzero(counts))[:EVENTS_PER_TABLE],
                *generator.permutation(np.flatnonzero(~counts))[:20],
            ]
            rows = [rows[i] for i in sorted(some)]
        tables[name] = [header, *rows]
    return tables


def to_csv(table: Table, **how: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=how.pop("lineterminator", "\n"), **how).writerows(table)
    return text.getvalue().encode()


class Refused(Exception):  # noqa: N818 (no error: an answer)
    """What the tables hold cannot be read as what they should hold."""


class Bad:
    """A field that is not of its type. Looking at it refuses the tables; a row that does not count may hold one."""

    def _refuse(self, *_: Any) -> Any:
        raise Refused

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __sub__ = __rsub__ = __hash__ = _refuse
    astype = _refuse


def typed(text: str, kind: Any) -> Any:
    """One field; None for an empty one, and for a text in the place of a measured number."""
    if text == "":
        return None
    try:
        return np.datetime64(text.replace(" ", "T"), "s") if kind == "time" else kind(text)
    except (ValueError, OverflowError):
        return None if kind is float else Bad()


def parsed(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    result = {}
    for name, (header, *rows) in tables.items():
        lower = [column.lower() for column in header]
        missing = [column for column in USED[name] if column not in lower]
        if missing:
            raise Refused(missing)
        fields = [
            {column: typed(row[lower.index(column)], kind) for column, kind in USED[name].items()}
            for row in rows
        ]
        result[name] = [row for row in fields if name not in ITEMS or row["itemid"] in ITEMS[name]]
    return result


def hours(later: Any, earlier: Any) -> float:
    if later is None or earlier is None:
        return np.nan
    return float(np.float32(int((later - earlier) / np.timedelta64(1, "s")) / 3600))


def died_at(deathtime: Any, dischtime: Any) -> Any:
    """The time of death; one at midnight is known to the day: discharge or end of that day."""
    if deathtime is None or isinstance(deathtime, Bad):
        return deathtime
    if deathtime != deathtime.astype("datetime64[D]"):
        return deathtime
    end = deathtime + np.timedelta64(1, "D")
    return dischtime if dischtime is not None and deathtime < dischtime < end else end


def in_the_icu(died: float, deathtime: Any, dead_by: Any, dischtime: Any, outtime: Any) -> float:
    """Whether a patient died in the ICU; NaN if that cannot be known."""
    if died != 1:
        return died
    if dischtime is not None and dischtime == dischtime.astype("datetime64[D]"):
        dischtime = None
    if outtime is None:
        return np.nan
    if any(time is not None and time <= outtime for time in (dead_by, dischtime)):
        return 1.0
    return 0.0 if deathtime is not None and deathtime > outtime else np.nan


def days(died: float, death: Any, dischtime: Any, intime: Any) -> tuple[float, bool]:
    """The day of death, and whether the record does not contradict itself."""
    if np.isnan(died) or (died == 1 and death is None):
        return np.nan, False
    if death is None:
        return np.nan, True
    death, start = death.astype("datetime64[D]"), intime.astype("datetime64[D]")
    if died == 0 and dischtime is not None and death < dischtime.astype("datetime64[D]"):
        return np.nan, False
    return float((death - start) / np.timedelta64(1, "D")), True


def reference(tables: Tables) -> tuple[dict[int, tuple], list[tuple[int, float, str, float]]]:
    """Stays (subject, admission, age, died, four times, death in the ICU, day of death, days that
    the patient is followed) by stay id, and the events in their order.

    Raises Refused.
    """
    read = parsed(tables)
    stays: dict[int, tuple] = {}
    intimes = {}
    for a in read["ADMISSIONS"]:
        a["died_at"] = died_at(a["deathtime"], a["dischtime"])
    for s in read["ICUSTAYS"]:
        patients = [p for p in read["PATIENTS"] if None is not p["subject_id"] == s["subject_id"]]
        admissions = [a for a in read["ADMISSIONS"] if None is not a["hadm_id"] == s["hadm_id"]]
        if not patients or not admissions:
            continue
        if len(patients) * len(admissions) > 1:
            raise Refused("an id twice")
        p, a = patients[0], admissions[0]
        if a["subject_id"] != s["subject_id"] or s["intime"] is None:
            continue
        end = s["outtime"] if s["outtime"] is not None else s["intime"] + np.timedelta64(1, "D")
        if a["admittime"] is not None and a["admittime"] > end:
            continue
        flag = a["hospital_expire_flag"]
        if None in (s["icustay_id"], s["dbsource"]) or flag not in (0, 1):
            raise Refused("an id or outcome that is none")
        if s["icustay_id"] in stays:
            raise Refused("an id twice")
        survived = a["deathtime"] is None or (
            a["dischtime"] is not None and a["deathtime"] > a["dischtime"]
        )
        late = None not in (a["deathtime"], a["dischtime"]) and a["deathtime"] >= a[
            "dischtime"
        ] + np.timedelta64(2, "D")
        died = np.nan if late else 1.0
        before = [
            b["died_at"]
            for b in read["ADMISSIONS"]
            if b["subject_id"] == s["subject_id"]
            and b["died_at"] is not None
            and b["died_at"] < s["intime"]
        ]
        died = died if flag == 1 else 0.0 if survived else np.nan
        dead_by = min(before, default=a["died_at"])
        recorded = [
            b["deathtime"]
            for b in read["ADMISSIONS"]
            if b["subject_id"] == s["subject_id"] and b["deathtime"] is not None
        ]
        first = min(recorded, default=p["dod"])
        first = a["dischtime"] if first is None and flag == 1 else first
        day, coherent = days(died, first, a["dischtime"], s["intime"])
        dated = any(other["dod"] is not None for other in read["PATIENTS"])
        years = hours(s["intime"], p["dob"]) / (365.2425 * 24)
        times = [
            hours(t, s["intime"])
            for t in (
                a["admittime"],
                a["dischtime"],
                s["outtime"],
                dead_by,
            )
        ]
        stays[s["icustay_id"]] = (
            s["subject_id"],
            s["hadm_id"],
            90.0 if years > 89 else years,
            died,
            *times,
            in_the_icu(died, a["deathtime"], dead_by, a["dischtime"], s["outtime"]),
            day,
            90.0 if coherent and dated else np.nan,
        )
        intimes[s["icustay_id"]] = s["intime"]
    if not stays:
        raise Refused("no stay")
    events = []
    for stay, (subject, admission, *_) in stays.items():
        for name in ITEMS:
            for e in read[name]:
                if (
                    e["subject_id"] != subject
                    or e["hadm_id"] not in (None, admission)
                    or e.get("icustay_id") not in (None, stay)
                    or e.get("error") == 1
                    or not 0 <= (hour := hours(e["charttime"], intimes[stay])) < 48
                    or e["valuenum"] is None
                ):
                    continue
                v = e["valuenum"]
                for column, kind, items, above, below, counts, fahrenheit in slow_reference.RULES:
                    limit = min(below, 3.4e38)
                    if (
                        name.lower().startswith(kind)
                        and e["itemid"] in items
                        and v > above
                        and (v < limit or (counts and v == limit))
                    ):
                        events.append(
                            (
                                stay,
                                hour,
                                NAMES[column],
                                float(np.float32((v - 32) / 1.8 if fahrenheit else v)),
                            )
                        )
    return stays, sorted(events)


@functools.cache
def settings_of_mimic() -> Params:
    """params.yaml for the tables of MIMIC-III in the folder raw."""
    params = load_params(ROOT / "params.yaml")
    options = params.extract.model_copy(update={"source": "mimiciii", "raw": Path("raw")})
    return params.model_copy(update={"extract": options})


def extract(folder: Path) -> tuple[int, str]:
    """`python src/run.py extract` in `folder`: its exit code and what it says."""
    said = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stderr(said),
        mock.patch.object(sys, "argv", ["run.py", "extract"]),
        mock.patch.object(cli, "_refuse_another_checkout"),
        mock.patch.object(cli, "load_params", settings_of_mimic),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            return int(stop.code or 0), said.getvalue()
    raise AssertionError("the command line always exits")


def check(
    folder: Path, files: dict[str, bytes], tables: Tables | None, *, may_refuse: bool = False
) -> None:
    """Extract from `files`: what the reference finds in `tables` comes out, or one line. None: nothing but a refusal will do."""
    (folder / "raw").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "raw" / name).write_bytes(content)
    code, said = extract(folder)
    try:
        expected = None if tables is None else reference(tables)
    except Refused:
        expected = None
    if code:
        lines = [line for line in re.split(r"[\r\n]+", said) if "error:" in line.lower()]
        assert code == 1
        assert len(lines) == 1, said
        assert lines[0].startswith("error: raw"), said
        assert "Traceback" not in said
        assert WORD not in said
        assert not [file for file in (folder / "data").rglob("*") if file.is_file()]
        assert expected is None or may_refuse, said
        return
    assert expected is not None, "damaged tables were taken for whole ones"
    stays, events = expected
    found = read_table(folder / paths.STAYS, STAYS).set_index("stay_id")
    assert list(found.index) == sorted(stays)
    columns = [
        "subject_id",
        "hadm_id",
        "age",
        "died",
        "admit_hour",
        "discharge_hour",
        "out_hour",
        "death_hour",
        "icu_died",
        "death_day",
        "followed_days",
    ]
    wanted = np.array([stays[i] for i in sorted(stays)], float)
    np.testing.assert_allclose(
        found[columns].astype(float).to_numpy(), wanted, rtol=1e-6, atol=1e-6
    )
    table = read_table(folder / paths.EVENTS, EVENTS)
    got = list(
        zip(table["stay_id"], table["hour"], table["measurement"], table["value"], strict=True)
    )
    assert [event[:3] for event in got] == [event[:3] for event in events]
    np.testing.assert_allclose(
        [event[3] for event in got], [event[3] for event in events], rtol=1e-6
    )


WORD = "zebra"  # never to be seen in a message: it stands for a patient's value
# What damages one field of a used column.
FIELDS = {
    "wrong type": [WORD, "12;5", "2130-13-45 00:00:00", "--", "1,5"],
    "empty": [""],
    "negative": ["-1", "-40.5", "0"],
    "absurd": ["1e308", "-1e308", "1e39", "99999", "1e-300", "NaN", "Infinity"],
    "far time": [
        "0000-01-01 00:00:00",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
        "1677-01-01 00:00:00",
        "2300-02-29 00:00:00",
    ],
    "nul": ["\0", "4\x002", "\x00" + WORD],
}
OF_KIND = {"negative": (float,), "absurd": (float,), "far time": ("time",)}
# Damage to a whole file that changes nothing, as what csv.writer is told or what is done to the table.
HARMLESS = [
    "windows line ends",
    "quoted",
    "columns in another order",
    "rows in another order",
    "lower case",
    "extra column",
    "gzip",
    "gzip in two members",
]
# Damage to a whole file that no reader may take for a whole one.
FATAL = [
    "truncated gzip",
    "torn gzip",
    "missing column",
    "missing file",
    "no bytes",
    "wrong delimiter",
    "duplicate ids",
    "a folder",
]


def cases(test: Callable[..., None]) -> Callable[..., None]:
    """Many damages of one kind; the same ones on every run."""
    health = [HealthCheck.too_slow]
    return settings(
        max_examples=CASES, derandomize=True, database=None, suppress_health_check=health
    )(given(data=st.data())(test))


def some(data: DataObject, table: Table) -> int:
    return data.draw(st.integers(1, len(table) - 1), "row")


@pytest.mark.parametrize("damage", FIELDS)
@cases
def test_a_damaged_field(
    damage: str, demo: Tables, tmp_path_factory: pytest.TempPathFactory, data: DataObject
) -> None:
    name = data.draw(
        st.sampled_from(
            [
                name
                for name in USED
                if damage not in OF_KIND or set(OF_KIND[damage]) & set(USED[name].values())
            ]
        )
    )
    column = data.draw(
        st.sampled_from(
            [c for c, kind in USED[name].items() if kind in OF_KIND.get(damage, (kind,))]
        )
    )
    tables = {key: [list(row) for row in table] for key, table in demo.items()}
    at = tables[name][0].index(column)
    for _ in range(data.draw(st.integers(1, 3), "fields")):
        tables[name][some(data, tables[name])][at] = data.draw(st.sampled_from(FIELDS[damage]))
    strict = damage in ("empty", "negative", "absurd")
    check(
        tmp_path_factory.mktemp("field"),
        {f"{key}.csv": to_csv(table) for key, table in tables.items()},
        tables,
        may_refuse=not strict,
    )


@pytest.mark.parametrize("damage", HARMLESS)
@cases
def test_damage_that_changes_nothing(
    damage: str, demo: Tables, tmp_path_factory: pytest.TempPathFactory, data: DataObject
) -> None:
    name = data.draw(st.sampled_from(list(USED)))
    header, *rows = demo[name]
    files = {f"{key}.csv": to_csv(table) for key, table in demo.items()}
    plain = files.pop(f"{name}.csv")

    def in_another_order() -> Table:
        order = data.draw(st.permutations(range(len(header))))
        return [[row[i] for i in order] for row in demo[name]]

    def with_a_note() -> Table:
        at = data.draw(st.integers(0, len(header)))
        return [
            [*row[:at], note, *row[at:]]
            for row, note in zip(demo[name], ["note", *[WORD] * len(rows)], strict=True)
        ]

    def in_two_members() -> bytes:
        cut = data.draw(st.integers(0, len(plain)))
        return gzip.compress(plain[:cut]) + gzip.compress(plain[cut:])

    content = {
        "windows line ends": lambda: to_csv(demo[name], lineterminator="\r\n"),
        "quoted": lambda: to_csv(demo[name], quoting=csv.QUOTE_ALL),
        "columns in another order": lambda: to_csv(in_another_order()),
        "rows in another order": lambda: to_csv([header, *data.draw(st.permutations(rows))]),
        "lower case": lambda: to_csv([[column.upper() for column in header], *rows]),
        "extra column": lambda: to_csv(with_a_note()),
        "gzip": lambda: gzip.compress(plain),
        "gzip in two members": in_two_members,
    }[
        damage
    ]()  # nothing else is drawn: where the table is all there is to choose, each of them is tried once
    files[
        f"{name.lower() if damage == 'lower case' else name}.csv{'.gz' if 'gzip' in damage else ''}"
    ] = content
    check(tmp_path_factory.mktemp("harmless"), files, demo)


@pytest.mark.parametrize("damage", FATAL)
@cases
def test_damage_that_must_be_told(
    damage: str, demo: Tables, tmp_path_factory: pytest.TempPathFactory, data: DataObject
) -> None:
    name = data.draw(st.sampled_from(list(USED)))
    files = {f"{key}.csv": to_csv(table) for key, table in demo.items()}
    plain, folder = files.pop(f"{name}.csv"), tmp_path_factory.mktemp("fatal")
    packed = gzip.compress(plain)
    if damage == "truncated gzip":
        files[f"{name}.csv.gz"] = packed[: data.draw(st.integers(0, len(packed) - 1))]
    elif damage == "torn gzip":  # one wrong byte of the compressed data or of its checksum
        at = data.draw(st.integers(10, len(packed) - 5))
        files[f"{name}.csv.gz"] = (
            packed[:at] + bytes([packed[at] ^ data.draw(st.integers(1, 255))]) + packed[at + 1 :]
        )
    elif damage == "missing column":
        at = demo[name][0].index(data.draw(st.sampled_from(list(USED[name]))))
        files[f"{name}.csv"] = to_csv([[*row[:at], *row[at + 1 :]] for row in demo[name]])
    elif damage == "no bytes":
        files[f"{name}.csv{data.draw(st.sampled_from(['', '.gz']))}"] = b""
    elif damage == "wrong delimiter":
        files[f"{name}.csv"] = to_csv(demo[name], delimiter=data.draw(st.sampled_from(";\t|")))
    elif damage == "duplicate ids":
        name = data.draw(st.sampled_from(["PATIENTS", "ADMISSIONS", "ICUSTAYS"]))
        stays, key = (
            demo["ICUSTAYS"],
            {"PATIENTS": "subject_id", "ADMISSIONS": "hadm_id", "ICUSTAYS": "icustay_id"}[name],
        )
        used = {row[stays[0].index(key)] for row in stays[1:]}
        again = data.draw(
            st.sampled_from(
                [row for row in demo[name][1:] if row[demo[name][0].index(key)] in used]
            )
        )
        files |= {f"{key}.csv": to_csv(table) for key, table in demo.items()} | {
            f"{name}.csv": to_csv([*demo[name], again])
        }
    elif damage == "a folder":
        (folder / "raw" / f"{name}.csv").mkdir(parents=True)
    check(folder, files, None)


@cases
def test_a_stay_that_ends_before_it_begins(
    demo: Tables, tmp_path_factory: pytest.TempPathFactory, data: DataObject
) -> None:
    tables = demo | {"ICUSTAYS": [list(row) for row in demo["ICUSTAYS"]]}
    header, row = tables["ICUSTAYS"][0], tables["ICUSTAYS"][some(data, tables["ICUSTAYS"])]
    start, end = header.index("intime"), header.index("outtime")
    row[start], row[end] = row[end], row[start]
    check(
        tmp_path_factory.mktemp("reversed"),
        {f"{key}.csv": to_csv(table) for key, table in tables.items()},
        tables,
    )


@cases
def test_empty_tables(
    demo: Tables, tmp_path_factory: pytest.TempPathFactory, data: DataObject
) -> None:
    """A header and no rows: without events nothing comes out but stays, without stays nothing at all."""
    emptied = data.draw(st.sets(st.sampled_from(list(USED)), min_size=1))
    tables = {key: table[:1] if key in emptied else table for key, table in demo.items()}
    check(
        tmp_path_factory.mktemp("empty"),
        {f"{key}.csv": to_csv(table) for key, table in tables.items()},
        tables,
    )
