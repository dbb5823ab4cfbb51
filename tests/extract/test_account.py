"""Every raw row is kept, or left out for one reason. The numbers add up for all sources."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from golden import CODE_MAP, DATA, write_meds
from literature_set import ITEMS, MEASUREMENTS, NAMES
from raw_tables import GOLDEN, HEAD, write_challenge, write_golden

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.extract.account import (
    DUPLICATE,
    IMPLAUSIBLE,
    KEPT,
    NO_NUMBER,
    NO_STAY,
    NO_TIME,
    OF_STAYS,
    OTHER,
    OUTSIDE,
    UNIT,
    UNMAPPED,
    Account,
    nested,
)
from icu_adversarial.extract.events import KEY, ranks, to_events
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.registry import read
from icu_adversarial.extract.summary import warn
from icu_adversarial.extract.units import SPELLINGS
from icu_adversarial.synthetic.hospital import generate

Rows = dict[str, dict[str, dict[str, int]]]
ITEM = {item: name for item, (name, _) in ITEMS.items()}


def extracted(source: str, raw: Path, window_hours: int = 48) -> tuple[Records, pd.DataFrame, Rows]:
    """Records, events, and the account by table, measurement and reason."""
    records = read(source, raw, window_hours, MEASUREMENTS, CODE_MAP)
    events = pa.Table.from_batches(records.events, EVENTS).to_pandas()
    return records, events, nested(records.account.table())


def assert_adds_up(rows: Rows, total: dict[str, int] | None = None) -> None:
    """Rows read are rows kept and left out; the rows of a table are all its rows."""
    assert rows
    for table, groups in rows.items():
        for measurement, reasons in groups.items():
            counts = Counter(reasons)
            assert counts.pop("read") == counts.total(), (table, measurement)
            assert all(count >= 0 for count in reasons.values())
        if total is not None and table in total:
            assert sum(reasons["read"] for reasons in groups.values()) == total[table], table


def without_kept(rows: Rows) -> Rows:
    """What is left out, where something is."""
    left_out = {
        table: {
            name: {reason: n for reason, n in reasons.items() if reason not in ("read", KEPT)}
            for name, reasons in groups.items()
        }
        for table, groups in rows.items()
    }
    return {
        table: {name: reasons for name, reasons in groups.items() if reasons}
        for table, groups in left_out.items()
    }


# What the column `why` of the golden tables says of each row, counted by hand.
LEFT_OUT: dict[str, Rows] = {
    "mimiciv": {
        "chartevents": {
            "heartrate": {OUTSIDE: 2, NO_NUMBER: 1, IMPLAUSIBLE: 1},
            "diasbp": {IMPLAUSIBLE: 1},
            "tempc": {IMPLAUSIBLE: 1},
            OTHER: {UNMAPPED: 2},
        },
        "labevents": {
            "potassium": {NO_STAY: 1, IMPLAUSIBLE: 1},
            "creatinine": {NO_STAY: 1, NO_NUMBER: 1},
            OTHER: {UNMAPPED: 1},
        },
    },
    "eicu": {
        "lab": {
            "potassium": {OUTSIDE: 2, "revised later": 1, NO_NUMBER: 1, IMPLAUSIBLE: 1},
            "lactate": {IMPLAUSIBLE: 1},
            "sodium": {NO_STAY: 1},
            OTHER: {UNMAPPED: 4},
        },
        "nursecharting": {
            "heartrate": {NO_NUMBER: 1, "monitor value in the same hour": 1},
            "diasbp": {"monitor value in the same hour": 1},
            "resprate": {OUTSIDE: 1},
            "spo2": {IMPLAUSIBLE: 1},
            OTHER: {UNMAPPED: 2},
        },
        "vitalaperiodic": {"sysbp": {IMPLAUSIBLE: 1}},
        "vitalperiodic": {
            "heartrate": {OUTSIDE: 2, IMPLAUSIBLE: 2},
            "sysbp": {IMPLAUSIBLE: 1},
            "diasbp": {IMPLAUSIBLE: 1},
            "tempc": {IMPLAUSIBLE: 1},
            "resprate": {IMPLAUSIBLE: 1},
            "spo2": {OUTSIDE: 2, IMPLAUSIBLE: 1},
        },
    },
    "meds": {
        "events": {
            "heartrate": {OUTSIDE: 1, NO_NUMBER: 1, IMPLAUSIBLE: 1},
            "lactate": {IMPLAUSIBLE: 1},
            "tempc": {IMPLAUSIBLE: 1},
            "resprate": {NO_STAY: 1},
            OTHER: {UNMAPPED: 2},
        }
    },
}
# Files of the golden tables. Tables of monitors have a row for every filled cell that is read.
FILES = {
    "mimiciv": {"chartevents": "icu/chartevents.csv", "labevents": "hosp/labevents.csv"},
    "eicu": {"lab": "lab.csv", "nursecharting": "nurseCharting.csv"},
    "meds": {"events": "events.csv"},
}


@pytest.mark.parametrize("source", LEFT_OUT)
def test_golden_tables(source: str, tmp_path: Path) -> None:
    golden = {"mimiciv": "mimic4"}.get(source, source)
    raw = write_meds(tmp_path) if source == "meds" else DATA / golden
    _, events, rows = extracted(source, raw)
    total = {name: len(pd.read_csv(DATA / golden / file)) for name, file in FILES[source].items()}
    assert_adds_up(rows, total)
    assert without_kept(rows) == LEFT_OUT[source]
    if source == "eicu":  # here every row belongs to one stay
        kept = sum(groups[name][KEPT] for groups in rows.values() for name in groups)
        assert kept == len(events)


def test_golden_mimic3(tmp_path: Path) -> None:
    _, events, rows = extracted("mimiciii", write_golden(tmp_path / "raw"))
    assert_adds_up(rows, {"chartevents": 12, "labevents": 5})
    assert len(events) == 7
    assert without_kept(rows) == {
        "chartevents": {
            "heartrate": {OUTSIDE: 2, "error flag": 1, NO_NUMBER: 1, IMPLAUSIBLE: 1},
            "tempc": {IMPLAUSIBLE: 1},
            "spo2": {NO_STAY: 1},  # its ICU stay is of another admission
            OTHER: {UNMAPPED: 1},
        },
        "labevents": {"potassium": {OUTSIDE: 1, IMPLAUSIBLE: 1}},
    }


HEART = "{id},1,{hadm},{stay},211,{time},{value},{value},{unit},0\n"


def charts(*rows: dict[str, object]) -> dict[str, str]:
    """CHARTEVENTS with heart rates of subject 1: 80 per minute, in the first hour of stay 100."""
    usual = {"hadm": 10, "stay": 100, "time": "2100-01-01 10:30:00", "value": 80, "unit": "BPM"}
    lines = [HEART.format(id=i, **(usual | row)) for i, row in enumerate(rows)]
    return {"CHARTEVENTS": GOLDEN["CHARTEVENTS"].partition("\n")[0] + "\n" + "".join(lines)}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, KEPT),
        ({"unit": ""}, KEPT),
        ({"unit": " bpm "}, KEPT),
        ({"unit": "a spelling of its own"}, KEPT),
        ({"unit": "mmHg"}, UNIT),
        ({"unit": "µmol/L"}, UNIT),  # the sign for micro
        ({"unit": "μmol/L"}, UNIT),  # the Greek letter
        ({"unit": "%"}, UNIT),
        ({"time": ""}, NO_TIME),
        ({"hadm": 12}, NO_STAY),
        ({"hadm": "", "stay": 77}, NO_STAY),
        ({"hadm": "", "stay": "", "time": "2100-01-20 00:00:00"}, OUTSIDE),
        ({"value": ""}, NO_NUMBER),
        ({"value": "NaN"}, NO_NUMBER),
        ({"value": "<5"}, NO_NUMBER),
        ({"value": "5 or less"}, NO_NUMBER),
        ({"value": "--"}, NO_NUMBER),
        ({"value": " +80.0 "}, KEPT),
        ({"value": "Infinity"}, IMPLAUSIBLE),
        ({"value": -1}, IMPLAUSIBLE),
    ],
)
def test_the_reason_of_a_row(row: dict[str, object], reason: str, tmp_path: Path) -> None:
    raw = write_golden(tmp_path / "raw", changes=charts(row))
    _, events, rows = extracted("mimiciii", raw)
    assert rows["chartevents"] == {
        "heartrate": {"read": 1, KEPT: 0, reason: 1} if reason != KEPT else {"read": 1, KEPT: 1}
    }
    assert (events["measurement"] == "heartrate").sum() == (reason == KEPT)


def test_identical_rows_count_once(tmp_path: Path) -> None:
    """Another item, value or time makes another row; the admission that is named does not."""
    same: dict[str, object] = {}
    raw = write_golden(
        tmp_path / "raw",
        changes=charts(same, same, {"hadm": ""}, {"value": 81}, {"time": "2100-01-01 10:30:01"}),
    )
    _, events, rows = extracted("mimiciii", raw)
    assert rows["chartevents"]["heartrate"] == {"read": 5, KEPT: 3, DUPLICATE: 2}
    assert events.loc[events["measurement"] == "heartrate", "value"].tolist() == [80, 81, 80]


def test_a_row_in_the_windows_of_two_stays_counts_once(tmp_path: Path) -> None:
    again = (
        "4,1,10,102,carevue,MICU,2100-01-01 20:00:00,2100-01-04 10:00:00,3\n"  # same admission
        "5,1,11,103,carevue,MICU,2100-01-02 00:00:00,2100-02-04 10:00:00,3\n"  # another one
    )
    admissions = GOLDEN["ADMISSIONS"].replace("2100-02-01 00:00:00", "2100-01-02 00:00:00")
    late = {"stay": "", "time": "2100-01-02 01:00:00"}
    changes = charts(late, late | {"hadm": ""}, late | {"stay": 102, "value": 90}) | {
        "ICUSTAYS": GOLDEN["ICUSTAYS"] + again,
        "ADMISSIONS": admissions,
    }
    _, events, rows = extracted("mimiciii", write_golden(tmp_path / "raw", changes=changes))
    assert rows["chartevents"]["heartrate"] == {"read": 3, KEPT: 2, DUPLICATE: 1}
    found = events[events["measurement"] == "heartrate"]
    assert found["stay_id"].tolist() == [100, 102, 102, 103]  # 80, 80, 90, 80
    assert found["value"].tolist() == [80, 80, 90, 80]


def demo_reasons(folder: Path, table: str) -> pd.DataFrame:
    """Measurement and reason of every row of the demo, by pandas; "in" for what may be kept."""
    rows = pd.read_csv(folder / f"{table}.csv.gz", low_memory=False, parse_dates=["charttime"])
    stays = pd.read_csv(folder / "ICUSTAYS.csv.gz", parse_dates=["intime"])
    rows = rows[rows["itemid"].isin(ITEM)].reset_index(names="row")
    pairs = rows.merge(stays, on="subject_id", how="left", suffixes=("", "_of_stay"))
    fits = pairs["hadm_id"].isna() | (pairs["hadm_id"] == pairs["hadm_id_of_stay"])
    if "icustay_id_of_stay" in pairs:
        fits &= pairs["icustay_id"].isna() | (pairs["icustay_id"] == pairs["icustay_id_of_stay"])
    since = (pairs["charttime"] - pairs["intime"]) / pd.Timedelta(hours=1)
    has_stay = fits.groupby(pairs["row"]).any()
    within = (fits & (since >= 0) & (since < 48)).groupby(pairs["row"]).any()
    limits = {item: rows.limits for item, (_, rows) in ITEMS.items()}
    value = rows["valuenum"]
    above = rows["itemid"].map({i: found.above for i, found in limits.items()})
    below = rows["itemid"].map({i: found.highest for i, found in limits.items()})
    counts = rows["itemid"].map({i: found.highest_counts for i, found in limits.items()})
    possible = (value > above) & ((value < below) | (counts & (value == below)))
    marked = rows["error"] == 1 if "error" in rows else np.zeros(len(rows), bool)
    row = rows["row"]
    reason = np.select(
        [~row.map(has_stay), ~row.map(within), marked, value.isna(), ~possible],
        [NO_STAY, OUTSIDE, "error flag", NO_NUMBER, IMPLAUSIBLE],
        "in",
    )
    return pd.DataFrame({"measurement": rows["itemid"].map(ITEM), "reason": reason})


def test_demo_of_mimic3(mimic_demo: Path) -> None:
    """All rows of the demo, against pandas. Nothing there is worth a warning."""
    records, events, rows = extracted("mimiciii", mimic_demo)
    assert_adds_up(rows, {"chartevents": 758_355, "labevents": 76_074})
    for table in ("chartevents", "labevents"):
        expected = demo_reasons(mimic_demo, table.upper()).value_counts()
        for name in NAMES:
            if name not in expected.index.get_level_values(0):
                continue
            reasons = dict(rows[table][name])
            reasons.pop("read")
            found = {"in": reasons.pop(KEPT) + reasons.pop(DUPLICATE, 0)} | reasons
            assert found == expected[name].to_dict(), name
    kept = sum(groups[name][KEPT] for groups in rows.values() for name in groups)
    assert kept == len(events)  # no windows of the demo overlap
    assert records.account.large_shares() == []


def test_sets_a_and_b_of_the_challenge(challenge: Path) -> None:
    records, events, rows = extracted("challenge2012", challenge)
    assert_adds_up(rows)
    for name in NAMES:
        counts = [rows[which].get(name, {KEPT: 0})[KEPT] for which in ("set-a", "set-b")]
        assert sum(counts) == (events["measurement"] == name).sum()
    assert rows["set-a"]["ph"] == {"read": 24_355, KEPT: 24_337, OUTSIDE: 7, IMPLAUSIBLE: 11}
    assert rows["set-a"][OF_STAYS] == {"read": 12_000, KEPT: 12_000}  # age, sex, kind of unit
    assert records.account.large_shares() == []


def test_records_of_the_challenge(tmp_path: Path) -> None:
    text = HEAD.format(id=7, age=54, sex=0, icu=4) + (
        "00:07,HR,73\n00:07,HR,73\n00:07,HR,74\n01:00,HR,-1\n01:00,HR,\n48:00,HR,70\n01:00,GCS,15\n"
    )
    raw = write_challenge(
        tmp_path / "raw", records={"set-a": {7: text, 3: HEAD.format(id=3, age=1, sex=1, icu=1)}}
    )
    _, events, rows = extracted("challenge2012", raw)
    assert_adds_up(rows, {"set-a": 19})
    assert rows["set-a"]["heartrate"] == {
        "read": 6, KEPT: 2, OUTSIDE: 1, NO_NUMBER: 1, IMPLAUSIBLE: 1, DUPLICATE: 1,
    }  # fmt: skip
    assert events["value"].tolist() == [73, 74]


def test_the_synthetic_hospital(tmp_path: Path) -> None:
    generate(tmp_path, 200, 0)
    total = {
        table: len(pd.read_parquet(tmp_path / f"{table.upper()}.parquet"))
        for table in ("chartevents", "labevents")
    }
    records, _, rows = extracted("synthetic", tmp_path)
    assert_adds_up(rows, total)
    labs = {m.name for m in MEASUREMENTS if m.mimic[0].table == "labevents"}
    assert set(rows["labevents"]) == labs | {OTHER}
    assert records.account.large_shares() == []


def test_meds_with_times_and_copies_and_named_admissions(tmp_path: Path) -> None:
    write_meds(tmp_path)
    file = tmp_path / "data" / "train" / "0.parquet"
    frame = pd.read_parquet(file)
    heart = frame["code"].str.startswith("LAB//220045") & (frame["numeric_value"] == 72)
    more = frame[heart]
    pd.concat([frame, more, more.assign(time=pd.NaT)]).to_parquet(file)
    _, _, rows = extracted("meds", tmp_path)
    assert_adds_up(rows, {"events": len(pd.read_csv(DATA / "meds" / "events.csv")) + 2})
    assert rows["events"]["heartrate"][DUPLICATE] == 1
    assert rows["events"]["heartrate"][NO_TIME] == 1


MARKS = 25  # rows of the golden table of MEDS that describe stays
OTHER_ADMISSION = "if(code = 'HOSPITAL_DISCHARGE//HOME', 9, 8)::BIGINT"  # two rows have 9


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("1", "2160-03-09 10:00:00", "MEDS_DEATH"), KEPT),
        (("1", None, "MEDS_DEATH"), NO_TIME),
        (("1", None, "MEDS_BIRTH"), NO_TIME),
        (("1", None, "HOSPITAL_ADMISSION//X"), NO_TIME),
        (("1", None, "ICU_ADMISSION//X"), NO_TIME),
        (("1", None, "GENDER//F"), KEPT),
        (("4", "2160-03-09 10:00:00", "MEDS_DEATH"), NO_STAY),  # never in the ICU
        (("4", None, "MEDS_BIRTH"), NO_STAY),
        (("4", None, "GENDER//F"), NO_STAY),
    ],
)
def test_the_reason_of_a_mark_of_meds(
    row: tuple[str, str | None, str], reason: str, tmp_path: Path
) -> None:
    """A mark is a row that describes a stay: its patient, admission, end or outcome."""
    write_meds(tmp_path)
    file = tmp_path / "data" / "train" / "1.parquet"
    frame = pd.read_parquet(file)
    subject, time, code = row
    more = {"subject_id": [int(subject)], "time": [pd.Timestamp(time or "NaT")], "code": [code]}
    pd.concat([frame, pd.DataFrame(more).astype(frame.dtypes[:3])]).to_parquet(file)
    _, _, rows = extracted("meds", tmp_path)
    assert_adds_up(rows, {"events": len(pd.read_csv(DATA / "meds" / "events.csv")) + 1})
    marks = {"read": MARKS, KEPT: MARKS}
    marks[reason] = marks.get(reason, 0) + 1
    assert rows["events"][OF_STAYS] == marks | {"read": MARKS + 1}


def test_a_mark_of_another_admission_has_no_stay(tmp_path: Path) -> None:
    """Where the data name admissions, as for the rows of measurements."""
    write_meds(tmp_path, hadm_id=OTHER_ADMISSION)
    _, _, rows = extracted("meds", tmp_path)
    assert_adds_up(rows)
    assert rows["events"][OF_STAYS] == {"read": MARKS, KEPT: MARKS - 2, NO_STAY: 2}


def test_copies_and_nulls_of_eicu(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "eicu", tmp_path / "raw"))
    for file, line in (
        ("lab.csv", "40,141,420,1,magnesium,2.0000,2.0,mg/dL,mg/dL,430,again\n"),
        ("lab.csv", "41,141,,1,magnesium,2.0,2.0,mg/dL,mg/dL,430,no time\n"),
        ("lab.csv", "42,141,430,1,magnesium,2.1,2.1,mg/dL,bottles,440,an unknown unit\n"),
        ("lab.csv", "43,141,435,1,magnesium,NaN,NaN,mg/dL,mg/dL,440,no number\n"),
        ("nurseCharting.csv", "17,145,30,35,Vital Signs,Heart Rate,Heart Rate,99.5,again\n"),
        ("vitalPeriodic.csv", "7,143,0,,,80,,,,,,,again\n"),
    ):
        with (folder / file).open("a") as handle:
            handle.write(line)
    before = extracted("eicu", DATA / "eicu")[1]
    records, events, rows = extracted("eicu", folder)
    assert_adds_up(rows)
    pd.testing.assert_frame_equal(events, before)
    assert rows["lab"]["magnesium"] == {
        "read": 6,
        KEPT: 2,
        NO_TIME: 1,
        NO_NUMBER: 1,
        UNIT: 1,
        DUPLICATE: 1,
    }
    assert rows["nursecharting"]["heartrate"][DUPLICATE] == 1
    assert rows["vitalperiodic"]["heartrate"][DUPLICATE] == 1
    assert records.account.units == {"magnesium in an unknown unit": 1}


LAB = "lab.csv", "40,141,435,1,{},"
NURSE = "nurseCharting.csv", "40,145,{},45,Vital Signs,Heart Rate,Heart Rate,"
MONITOR = "vitalPeriodic.csv", "40,143,5,,,"


@pytest.mark.parametrize(
    ("file", "line", "of", "reason"),
    [
        (LAB, "magnesium,2.2,2.2,mg/dL,mg/dL,440,", "magnesium", KEPT),
        (LAB, "magnesium,<2,<2,mg/dL,mg/dL,440,", "magnesium", NO_NUMBER),
        (LAB, "magnesium,25,25,mg/dL,mg/dL,440,", "magnesium", IMPLAUSIBLE),
        (LAB, "glucose,NaN,NaN,mg/dL,mmol/L,440,", "glucose", NO_NUMBER),
        (LAB, "glucose,110,110,mg/dL,mmol/L,440,", "glucose", IMPLAUSIBLE),
        (LAB, "albumin,3.8,3.8,g/dL,g/L,440,", "albumin", IMPLAUSIBLE),
        (LAB, "glucose,NaN,NaN,mg/dL,bottles,440,", "glucose", NO_NUMBER),
        (LAB, "glucose,110,110,mg/dL,bottles,440,", "glucose", UNIT),
        (LAB, "creatinine,11,11,mg/dL,mg/L,440,", "creatinine", UNIT),
        (MONITOR, "<60,,,,,,,", "heartrate", NO_NUMBER),
        (MONITOR, "61,,,,,,,", "heartrate", KEPT),
        (("vitalAperiodic.csv", "40,141,15,"), "<5,,,", "sysbp", NO_NUMBER),
        *(
            (NURSE, f"{number},", "heartrate", KEPT)
            for number in (" 90", "90 ", "+90", ".5", "90.")
        ),
        *((NURSE, f"{text},", "heartrate", NO_NUMBER) for text in ("<5", "90 bpm", ".", "9 0")),
        (NURSE, "-.5,", "heartrate", IMPLAUSIBLE),
    ],
)
def test_the_reason_of_a_row_of_eicu(
    file: tuple[str, str], line: str, of: str, reason: str, tmp_path: Path
) -> None:
    raw = Path(shutil.copytree(DATA / "eicu", tmp_path / "raw"))
    _, before, expected = extracted("eicu", raw)
    name, begin = file
    with (raw / name).open("a") as handle:
        if file is LAB:
            handle.write(begin.format(line.partition(",")[0]) + line.partition(",")[2] + "\n")
        else:
            handle.write(begin.format(45) + line + "\n")
    records, events, rows = extracted("eicu", raw)
    assert_adds_up(rows)
    group = expected[name.partition(".")[0].lower()].setdefault(of, {"read": 0, KEPT: 0})
    group["read"] += 1
    group[reason] = group.get(reason, 0) + 1
    assert rows == expected
    assert len(events) - len(before) == (reason == KEPT)
    assert bool(records.account.units) == (reason == UNIT)


RANKS = ranks(MEASUREMENTS)


def batch(*rows: tuple[int, float, str, float, int, bool]) -> pa.RecordBatch:
    stay, hour, name, value, code, first = zip(*rows, strict=True)
    columns = [
        pa.array(stay, pa.int64()),
        pa.array(hour, pa.float32()),
        pa.array([RANKS[n] for n in name], pa.int64()),
        pa.array(value, pa.float64()),
        pa.array(code, pa.int64()),
        pa.array(first),
    ]
    return pa.RecordBatch.from_arrays(columns, names=[*KEY, "first_stay"])


def test_identical_rows_are_found_across_batches() -> None:
    row = (1, 0.5, "ph", 7.25, 0, True)
    account = Account(NAMES)
    stream = [batch(row), batch(row, row), batch((*row[:4], 1, True)), batch((2, *row[1:5], False))]
    stream.insert(1, batch(row).slice(0, 0))
    found = pa.Table.from_batches(to_events(stream, ["lab", "chart"], account), EVENTS)
    assert found["stay_id"].to_pylist() == [1, 1, 2]
    assert account.rows == {
        ("lab", "ph", KEPT): 1,
        ("lab", "ph", DUPLICATE): 2,
        ("chart", "ph", KEPT): 1,
    }


def test_an_account_that_does_not_add_up_is_refused() -> None:
    account = Account(NAMES)
    account.add_read("lab", "ph", 5)
    account.add("lab", "ph", KEPT, 4)
    with pytest.raises(InputError, match=r"^raw: LAB: 5 rows of ph were read and 4 are accounted"):
        account.check(Path("raw"))
    account.add("lab", "ph", UNIT, 1)
    account.check(Path("raw"))


def test_a_large_share_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """Above 5 % of the rows in a window. Rows outside it and without a stay are none of them."""
    account = Account(NAMES)
    for reason, count in ((KEPT, 94), (UNIT, 5), (IMPLAUSIBLE, 1), (OUTSIDE, 900), (NO_STAY, 900)):
        account.add_read("lab", "ph", count)
        account.add("lab", "ph", reason, count)
    assert account.large_shares() == []
    account.add_read("lab", "ph", 1)
    account.add("lab", "ph", UNIT, 1)
    assert account.large_shares() == [
        {"measurement": "ph", "reason": UNIT, "rows": 6, "of": 101, "share": 6 / 101}
    ]
    warn(account)
    assert capsys.readouterr().err == (
        "warning: ph: 5.9% of the rows in the window of a stay are left out: wrong unit"
        " (6 of 101 rows; the limit is 5%)\n"
    )
    json.dumps(account.large_shares())


def test_stays_are_in_the_account() -> None:
    account = Account(NAMES)
    account.add_stays(7, {"time of ICU admission known": 2})
    assert_adds_up(nested(account.table()), {"icu stays": 9})


def test_every_spelling_stands_for_one_unit() -> None:
    spellings = [spelling for all_of in SPELLINGS.values() for spelling in all_of]
    assert len(spellings) == len(set(spellings))
    assert all(s == s.lower().replace(" ", "") for s in spellings)
