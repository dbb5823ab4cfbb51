"""The set `extended` of MIMIC: units, fractions, sums and outputs. tests/data/mimic3_extended has the rules."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import slow_reference
from adbc_driver_postgresql import dbapi
from golden import CODE_MAP, DATA, assert_golden, collect
from places import as_mimic4, to_duckdb, to_postgres

from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.extract.account import (
    DUPLICATE,
    ERROR,
    IMPLAUSIBLE,
    KEPT,
    NO_NUMBER,
    OTHER,
    OUTSIDE,
    UNIT,
    UNMAPPED,
    nested,
)
from icu_adversarial.extract.registry import read
from icu_adversarial.extract.sources import meds, mimic3, mimic4
from icu_adversarial.features.grid import grids
from icu_adversarial.measurements import SETS, Limits, choose, columns_of

GOLDEN = DATA / "mimic3_extended"
NAMES = SETS["extended"]
MEASUREMENTS = choose(NAMES, "mimiciii")
# The columns of the golden tables, with the types that mimic-code's scripts give them.
TYPES = {
    "patients": (
        "row_id int, subject_id int, gender varchar(5), dob timestamp(0), dod timestamp(0), why text"
    ),
    "admissions": (
        "row_id int, subject_id int, hadm_id int, admittime timestamp(0), dischtime timestamp(0), "
        "deathtime timestamp(0), hospital_expire_flag smallint, why text"
    ),
    "icustays": (
        "row_id int, subject_id int, hadm_id int, icustay_id int, dbsource varchar(20), "
        "first_careunit varchar(20), intime timestamp(0), outtime timestamp(0), why text"
    ),
    "chartevents": (
        "row_id int, subject_id int, hadm_id int, icustay_id int, itemid int, "
        "charttime timestamp(0), value varchar(255), valuenum double precision, "
        "valueuom varchar(50), error int, why text"
    ),
    "labevents": (
        "row_id int, subject_id int, hadm_id int, itemid int, charttime timestamp(0), "
        "value varchar(200), valuenum double precision, valueuom varchar(20), flag varchar(20), "
        "why text"
    ),
    "outputevents": (
        "row_id int, subject_id int, hadm_id int, icustay_id int, charttime timestamp(0), "
        "itemid int, value double precision, valueuom varchar(30), iserror int, why text"
    ),
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The golden tables in a DuckDB file."""
    csv = tmp_path / "csv"
    csv.mkdir()
    for table in TYPES:
        (csv / f"{table}.csv").write_text((GOLDEN / f"{table.upper()}.csv").read_text())
    return to_duckdb(csv, TYPES, tmp_path / "extended.duckdb")


@pytest.fixture
def server(database: Path, postgres: str, tmp_path: Path) -> Iterator[Path]:
    """The golden tables on a PostgreSQL server."""
    to_postgres(database, TYPES, postgres, "extended")
    file = tmp_path / "extended.url"
    file.write_text(f"{postgres}&options=-csearch_path%3Dextended")
    yield file
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA extended CASCADE")
        connection.commit()


def test_golden() -> None:
    assert_golden("mimic3_extended", collect(mimic3.read(GOLDEN, 48, MEASUREMENTS)))


def test_a_duckdb_file_and_a_server_give_the_same(database: Path, server: Path) -> None:
    expected = mimic3.read(GOLDEN, 48, MEASUREMENTS)
    tables = collect(expected)
    for place in (database, server):
        records = mimic3.read(place, 48, MEASUREMENTS)
        for ours, theirs in zip(collect(records), tables, strict=True):
            pd.testing.assert_frame_equal(ours, theirs)
        pd.testing.assert_frame_equal(records.account.table(), expected.account.table())


def test_the_tables_of_mimic4_give_the_same_and_more_pressures(tmp_path: Path) -> None:
    raw = as_mimic4(GOLDEN, "csv", tmp_path)
    (_, expected), (_, same) = (
        collect(reader.read(place, 48, MEASUREMENTS))
        for reader, place in ((mimic3, GOLDEN), (mimic4, raw))
    )
    pd.testing.assert_frame_equal(same, expected)
    _, events = collect(mimic4.read(raw, 48, choose(NAMES, "mimiciv")))
    more = events[events["measurement"] == "sysbp"]
    assert more[["stay_id", "value"]].to_numpy().tolist() == [[100, 120]]
    assert len(events) == len(expected) + 1


def test_what_is_left_out_is_counted_and_a_sum_is_no_row() -> None:
    records = mimic3.read(GOLDEN, 48, MEASUREMENTS)
    _, events = collect(records)
    found = nested(records.account.table())
    left_out = {
        table: {
            name: {reason: n for reason, n in counts.items() if reason not in ("read", KEPT)}
            for name, counts in groups.items()
        }
        for table, groups in found.items()
    }
    none: dict[str, int] = {}
    assert left_out["chartevents"] == {
        "gcs_eye": {IMPLAUSIBLE: 1, OUTSIDE: 1, DUPLICATE: 1},
        "gcs_verbal": none,
        "gcs_motor": {ERROR: 1},
        "gcs": {IMPLAUSIBLE: 1},
        "map": {IMPLAUSIBLE: 1},
        "fio2": {IMPLAUSIBLE: 4, UNIT: 1},
        "mechvent": {IMPLAUSIBLE: 2, NO_NUMBER: 1},
        "weight": {UNIT: 2, IMPLAUSIBLE: 1},
        "height": {IMPLAUSIBLE: 1, UNIT: 1},
        OTHER: {UNMAPPED: 1},
    }
    assert left_out["outputevents"] == {
        "urine": {ERROR: 1, IMPLAUSIBLE: 2, NO_NUMBER: 1, UNIT: 1, OUTSIDE: 1, DUPLICATE: 1},
        OTHER: {UNMAPPED: 1},
    }
    assert {name: reasons for name, reasons in left_out["labevents"].items() if reasons} == {
        "fio2": {IMPLAUSIBLE: 1},
        "bilirubin": {UNIT: 1},
        "troponin_t": {NO_NUMBER: 1},
    }
    for table, groups in found.items():
        rows = len(pd.read_csv(GOLDEN / f"{table.upper()}.csv"))
        assert sum(counts["read"] for counts in groups.values()) == rows
        for counts in groups.values():
            assert counts["read"] == sum(n for reason, n in counts.items() if reason != "read")
    kept = sum(counts[KEPT] for groups in found.values() for counts in groups.values())
    assert found["chartevents"]["gcs"] == {"read": 3, KEPT: 2, IMPLAUSIBLE: 1}
    assert len(events) == kept + 5  # totals that are sums


def test_a_bin_has_the_sum_of_urine_the_last_score_and_whether_there_was_a_ventilator() -> None:
    stays, events, *_ = mimic3.read(GOLDEN, 48, MEASUREMENTS)
    columns = columns_of(NAMES)
    batches = pa.Table.from_batches(events, EVENTS).to_batches()
    parts = grids(batches, stays["stay_id"].to_numpy(), range(48), columns)
    grid = np.concatenate([part for _, part in parts])

    def hours(name: str, stay: int = 0) -> dict[int, float]:
        cells = grid[stay, :, columns.index(name)]
        return {int(hour): float(cells[hour]) for hour in np.flatnonzero(~np.isnan(cells))}

    assert hours("urine") == {1: 180, 2: 0, 4: 60, 6: 70}
    assert hours("urine", 1) == {1: 245}
    assert hours("mechvent") == {9: 1}
    assert hours("gcs") == {1: 12, 6: 3, 7: 15}
    assert hours("gcs_eye")[4] == 3
    assert hours("fio2")[8] == pytest.approx((40 + 40 + 100 + 21) / 4)
    assert not {"weight", "height"} & set(columns)


def test_without_all_parts_there_is_no_sum_and_its_limits_hold() -> None:
    def totals(names: list[str], limits: dict[str, Limits] | None = None) -> list[float]:
        _, events = collect(mimic3.read(GOLDEN, 48, choose(names, "mimiciii", limits=limits)))
        return events.loc[events["measurement"] == "gcs", "value"].tolist()

    parts = ["gcs_verbal", "gcs_motor", "gcs_eye"]
    assert totals(["gcs", *parts]) == [12, 3, 15, 15, 14, 14, 3]
    assert totals(["gcs", *parts[:2]]) == [15, 14]
    assert totals(["gcs", *parts], {"gcs": Limits(above=3, below=15)}) == [12, 14, 14]


def test_the_ventilator_alone_can_be_read() -> None:
    """No item of it has a unit that counts."""
    _, events = collect(mimic3.read(GOLDEN, 48, choose(["mechvent"], "mimiciii")))
    assert events["value"].tolist() == [1, 1, 1, 1]


def test_the_demo_agrees_with_a_slow_reading(mimic_demo: Path) -> None:
    records = read("mimiciii", mimic_demo, 48, MEASUREMENTS, CODE_MAP)
    events = pa.Table.from_batches(records.events, EVENTS).to_pandas()
    expected = slow_reference.extended_events(mimic_demo)
    assert len(expected) > 50_000
    assert set(NAMES) == set(events["measurement"]) == set(expected["measurement"])
    pd.testing.assert_frame_equal(
        events.astype({"measurement": str}), expected, check_exact=False, rtol=1e-6
    )
    rows = nested(records.account.table())
    total = {"chartevents": 758_355, "labevents": 76_074, "outputevents": 11_320}
    for table, groups in rows.items():
        assert sum(counts["read"] for counts in groups.values()) == total[table]
        for counts in groups.values():
            assert counts["read"] == sum(n for reason, n in counts.items() if reason != "read")
            assert UNIT not in counts  # no row of the demo states a foreign unit
    kept = sum(counts[KEPT] for groups in rows.values() for counts in groups.values())
    charted = rows["chartevents"]["gcs"][KEPT]
    assert kept == len(events) - ((events["measurement"] == "gcs").sum() - charted)


def test_meds_has_sums_and_marks_and_units(tmp_path: Path) -> None:
    """With the map of MIMIC-IV. A MEDS data set has one factor for each code."""
    time = pd.Timestamp("2150-01-01 12:00:00")
    rows = [
        ("ICU_ADMISSION//MICU", "10:00", None),
        ("HOSPITAL_ADMISSION//X", "09:00", None),
        ("HOSPITAL_DISCHARGE//HOME", "23:00", None),
        ("LAB//220739//UNK", "12:00", 3),
        ("LAB//223900//UNK", "12:00", 4),
        ("LAB//223901//UNK", "12:00", 5),
        ("LAB//220739//UNK", "13:00", 4),
        ("LAB//224695//cmH2O", "13:00", 22),
        ("LAB//220339//cmH2O", "14:00", 0),
        ("LAB//226531//UNK", "14:00", 176.37),
        ("LAB//226707//Inch", "14:00", 67),
        ("LAB//RESULT//51301//K/uL", "15:00", 10.5),
        ("LAB//223835//UNK", "15:00", 40),
        ("LAB//223835//UNK", "15:30", 0.5),  # a share: 50 %
        ("LAB//223835//UNK", "15:45", 1),
        ("LAB//223835//UNK", "15:50", 0.15),  # less oxygen than air has: out
        ("LAB//223835//UNK", "15:50", 20),
        ("LAB//223835//UNK", "15:50", 1.5),
        ("SUBJECT_FLUID_OUTPUT//226559//mL", "16:00", 100),
        ("SUBJECT_FLUID_OUTPUT//226559//mL", "16:30", 50),
        ("SUBJECT_FLUID_OUTPUT//226566//mL", "16:30", 900),
    ]
    frame = pd.DataFrame(rows, columns=["code", "clock", "numeric_value"])
    frame["time"] = pd.to_datetime(f"{time.date()} " + frame["clock"])
    frame = frame.assign(subject_id=1, numeric_value=frame["numeric_value"].astype("float32"))
    (tmp_path / "data").mkdir()
    frame.drop(columns="clock").to_parquet(tmp_path / "data" / "0.parquet")
    records = meds.read(tmp_path, 48, choose(NAMES, "meds"), CODE_MAP)
    _, events = collect(records)
    found = list(zip(events["hour"], events["measurement"], events["value"].round(2), strict=True))
    assert found == [
        (2, "gcs", 12),
        (2, "gcs_eye", 3),
        (2, "gcs_motor", 5),
        (2, "gcs_verbal", 4),
        (3, "gcs_eye", 4),
        (3, "mechvent", 1),
        (4, "height", np.float32(170.18)),
        (4, "weight", 80),
        (5, "fio2", 40),
        (5, "wbc", 10.5),
        (5.5, "fio2", 50),
        (5.75, "fio2", 100),
        (6, "urine", 100),
        (6.5, "urine", 50),
    ]
    rows_of = nested(records.account.table())["events"]
    assert "gcs" not in rows_of
    assert rows_of["fio2"] == {"read": 6, KEPT: 3, IMPLAUSIBLE: 3}
    assert rows_of["mechvent"] == {"read": 2, KEPT: 1, IMPLAUSIBLE: 1}
    assert rows_of[OTHER] == {"read": 1, KEPT: 0, UNMAPPED: 1}
