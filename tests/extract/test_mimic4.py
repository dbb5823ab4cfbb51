import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from adbc_driver_postgresql import dbapi
from golden import DATA, assert_golden, collect
from literature_set import NAMES
from places import as_mimic4, to_duckdb, to_postgres

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import mimic3, mimic4
from icu_adversarial.measurements import SETS, choose

# The column types that mimic-code's scripts give the tables of MIMIC-IV, and the column `why` of the golden tables.
HOSP = {
    "patients": "subject_id int, gender char(1), anchor_age smallint, anchor_year smallint, anchor_year_group varchar(20), dod date, why text",
    "admissions": "subject_id int, hadm_id int, admittime timestamp, dischtime timestamp, deathtime timestamp, admission_type varchar(40), "
    "race varchar(80), hospital_expire_flag smallint, why text",
    "labevents": "labevent_id int, subject_id int, hadm_id int, specimen_id int, itemid int, charttime timestamp(0), storetime timestamp(0), "
    "value varchar(200), valuenum double precision, valueuom varchar(20), flag varchar(10), why text",
}
ICU = {
    "icustays": "subject_id int, hadm_id int, stay_id int, first_careunit varchar(255), last_careunit varchar(255), intime timestamp, "
    "outtime timestamp, los double precision, why text",
    "chartevents": "subject_id int, hadm_id int, stay_id int, charttime timestamp, storetime timestamp, itemid int, value varchar(200), "
    "valuenum double precision, valueuom varchar(20), warning smallint, why text",
}


def read(
    raw: Path, window_hours: int = 48, potassium: str = "both"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    return collect(mimic4.read(raw, window_hours, choose(NAMES, potassium=potassium)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The golden tables, to be changed."""
    return Path(shutil.copytree(DATA / "mimic4", tmp_path / "raw"))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The golden tables in a DuckDB file, in one schema."""
    flat = tmp_path / "flat"
    for module in ("hosp", "icu"):
        shutil.copytree(DATA / "mimic4" / module, flat, dirs_exist_ok=True)
    return to_duckdb(flat, HOSP | ICU, tmp_path / "flat.duckdb")


@pytest.fixture
def server(database: Path, postgres: str, tmp_path: Path) -> Iterator[Path]:
    """The golden tables in the two schemas that mimic-code makes of the modules."""
    to_postgres(database, HOSP, postgres, "mimiciv_hosp")
    to_postgres(database, ICU, postgres, "mimiciv_icu")
    file = tmp_path / "mimiciv.url"
    file.write_text(f"{postgres}&options=-csearch_path%3Dmimiciv_hosp,mimiciv_icu")
    yield file
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA mimiciv_hosp, mimiciv_icu CASCADE")
        connection.commit()


def test_golden() -> None:
    assert_golden("mimic4", read(DATA / "mimic4"))


def test_a_duckdb_file_and_a_server_give_the_same(
    database: Path, server: Path, tmp_path: Path
) -> None:
    in_schemas = to_duckdb(
        DATA / "mimic4" / "hosp", HOSP, tmp_path / "schemas.duckdb", "mimiciv_hosp"
    )
    to_duckdb(DATA / "mimic4" / "icu", ICU, in_schemas, "mimiciv_icu")
    expected = read(DATA / "mimic4")
    for place in (database, in_schemas, server):
        for ours, theirs in zip(read(place), expected, strict=True):
            pd.testing.assert_frame_equal(ours, theirs)


def test_the_columns_that_version_3_adds_change_nothing(folder: Path) -> None:
    for table, added in (
        ("hosp/admissions", "admit_provider_id"),
        ("hosp/labevents", "order_provider_id"),
        ("icu/chartevents", "caregiver_id"),
    ):
        frame = pd.read_csv(folder / f"{table}.csv", dtype=str)
        frame.insert(3, added, "P1")
        frame.to_csv(folder / f"{table}.csv", index=False)
    assert_golden("mimic4", read(folder))


def test_potassium_from_blood_gases_alone() -> None:
    _, events = read(DATA / "mimic4", potassium="blood_gas")
    assert events.loc[events["measurement"] == "potassium", "value"].round(1).tolist() == [
        pytest.approx(4.3)
    ]


def test_a_shorter_window_is_the_beginning_of_a_longer_one() -> None:
    (stays, events), (_, short) = read(DATA / "mimic4"), read(DATA / "mimic4", 24)
    pd.testing.assert_frame_equal(short, events[events["hour"] < 24].reset_index(drop=True))
    assert len(stays) == 4


def test_the_demo_of_mimic3_in_the_tables_of_mimic4_gives_the_same(
    mimic_demo: Path, tmp_path: Path
) -> None:
    """Real records: MIMIC-IV names the stay stay_id, dates subjects by an anchor year, and has no rows marked as errors."""
    raw = as_mimic4(mimic_demo, "csv.gz", tmp_path)
    measurements = choose(SETS["extended"], "mimiciii")
    (stays, events), (expected_stays, expected_events) = (
        collect(reader.read(place, 48, measurements))
        for reader, place in ((mimic4, raw), (mimic3, mimic_demo))
    )
    assert len(events) > 50_000
    pd.testing.assert_frame_equal(events, expected_events)
    differ = ("source_group", "age", "followed_days")
    same = [column for column in expected_stays if column not in differ]
    pd.testing.assert_frame_equal(stays[same], expected_stays[same])
    assert (stays["age"] - expected_stays["age"]).abs().max() < 1  # whole years of the calendar


def replace(file: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return change


def header_of_admissions(folder: Path) -> str:
    return (folder / "hosp" / "admissions.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "icu" / "icustays.csv").unlink(), "no ICUSTAYS"),
        (
            replace("hosp/patients.csv", "anchor_year_group", "group"),
            "PATIENTS lacks the columns anchor_year_group",
        ),
        (
            replace("icu/chartevents.csv", ",stay_id,", ",icustay_id,"),
            "CHARTEVENTS lacks the columns stay_id",
        ),
        (
            replace("icu/icustays.csv", "2139-12-29 00:00:00", "yesterday"),
            r"ICUSTAYS\.intime: 1 values are no TIMESTAMP",
        ),
        (
            replace("hosp/labevents.csv", "\n1,10001,", "\n1,many,"),
            r"LABEVENTS\.subject_id: 1 values are no BIGINT",
        ),
        (
            replace("hosp/patients.csv", "10002,M,91,2140,2014 - 2016", "10002,M,91,2140,"),
            r"PATIENTS\.anchor_year_group: 1 values are missing",
        ),
        (
            replace("hosp/admissions.csv", "EW EMER.,WHITE,0", "EW EMER.,WHITE,"),
            r"ADMISSIONS\.hospital_expire_flag: 2 values are missing",
        ),
        (replace("icu/icustays.csv", "30000002", "30000001"), "1 ICU stays occur more than once"),
        (
            lambda folder: (folder / "hosp" / "admissions.csv").write_text(
                f"{header_of_admissions(folder)}\n"
            ),
            "no ICU stay has its patient and its admission",
        ),
    ],
)
def test_bad_tables_are_told_in_one_line_without_patients_values(
    folder: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(folder)
    with pytest.raises(InputError, match=message) as error:
        read(folder)
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)
    assert not {"yesterday", "many", "10002"} & set(str(error.value).replace(",", " ").split())
