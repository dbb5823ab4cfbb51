import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from adbc_driver_postgresql import dbapi
from golden import DATA, assert_golden, collect
from literature_set import MEASUREMENTS
from places import to_duckdb, to_postgres

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import eicu
from icu_adversarial.extract.units import SPELLINGS
from icu_adversarial.measurements import SETS, Measurement, Rows, choose

# The column types that eicu-code's scripts give the tables, and the column `why` of the golden
# tables.
TYPES = {
    "patient": (
        "patientunitstayid int, patienthealthsystemstayid int, gender varchar(25), age "
        "varchar(10), ethnicity varchar(50), hospitalid int, hospitaladmitoffset int, "
        "hospitaldischargeyear smallint, hospitaldischargeoffset int, hospitaldischargestatus "
        "varchar(10), unittype varchar(50), unitvisitnumber int, unitdischargeoffset int, "
        "unitdischargestatus varchar(10), unitstaytype varchar(15), uniquepid varchar(10), why "
        "text"
    ),
    "lab": (
        "labid int, patientunitstayid int, labresultoffset int, labtypeid numeric(3,0), labname "
        "varchar(256), labresult numeric(11,4), labresulttext varchar(255), "
        "labmeasurenamesystem varchar(255), labmeasurenameinterface varchar(255), "
        "labresultrevisedoffset int, why text"
    ),
    "vitalPeriodic": (
        "vitalperiodicid bigint, patientunitstayid int, observationoffset int, temperature "
        "numeric(11,4), sao2 int, heartrate int, respiration int, cvp int, etco2 int, "
        "systemicsystolic int, systemicdiastolic int, systemicmean int, why text"
    ),
    "vitalAperiodic": (
        "vitalaperiodicid bigint, patientunitstayid int, observationoffset int, "
        "noninvasivesystolic double precision, noninvasivediastolic double precision, "
        "noninvasivemean double precision, why text"
    ),
    "nurseCharting": (
        "nursingchartid bigint, patientunitstayid int, nursingchartoffset int, "
        "nursingchartentryoffset int, nursingchartcelltypecat varchar(255), "
        "nursingchartcelltypevallabel varchar(255), nursingchartcelltypevalname varchar(255), "
        "nursingchartvalue varchar(255), why text"
    ),
}


def read(raw: Path, window_hours: int = 48) -> tuple[pd.DataFrame, pd.DataFrame]:
    return collect(eicu.read(raw, window_hours, MEASUREMENTS))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The golden tables, to be changed."""
    return Path(shutil.copytree(DATA / "eicu", tmp_path / "raw"))


@pytest.fixture(params=["eicu", "eicu_edges"])
def golden(request: pytest.FixtureRequest) -> Path:
    return DATA / request.param


@pytest.fixture
def database(golden: Path, tmp_path: Path) -> Path:
    return to_duckdb(golden, TYPES, tmp_path / "eicu.duckdb", "eicu_crd")


@pytest.fixture
def server(golden: Path, postgres: str, tmp_path: Path) -> Iterator[Path]:
    to_postgres(to_duckdb(golden, TYPES, tmp_path / "main.duckdb"), TYPES, postgres, "eicu_crd")
    file = tmp_path / "eicu.url"
    file.write_text(postgres)
    yield file
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA eicu_crd CASCADE")
        connection.commit()


def test_golden(golden: Path) -> None:
    """eicu: what counts as an event. eicu_edges: outcomes, units and kinds of stays."""
    assert_golden(golden.name, read(golden))


def test_what_is_left_out_is_counted(golden: Path, database: Path, server: Path) -> None:
    stays, labs = {
        "eicu": ({}, {}),
        "eicu_edges": (
            {"step-down units": 1, "units of an unknown kind": 1},
            {
                "creatinine in mg/L": 2,
                "glucose in an unknown unit": 1,
                "pH in nmol/L": 1,
            },
        ),
    }[golden.name]
    for place in (golden, database, server):
        records = eicu.read(place, 48, MEASUREMENTS)
        assert (records.excluded, records.account.units) == (stays, {})
        collect(records)
        assert records.account.units == labs


def test_a_duckdb_file_and_a_server_give_the_same(
    golden: Path, database: Path, server: Path
) -> None:
    expected = read(golden)
    for place in (database, server):
        for ours, theirs in zip(read(place), expected, strict=True):
            pd.testing.assert_frame_equal(ours, theirs)


def test_a_shorter_window_is_the_beginning_of_a_longer_one() -> None:
    (_, events), (_, short) = read(DATA / "eicu"), read(DATA / "eicu", 2)
    pd.testing.assert_frame_equal(short, events[events["hour"] < 2].reset_index(drop=True))


def test_numbers_of_subjects_do_not_depend_on_the_order_of_the_rows(folder: Path) -> None:
    patient = pd.read_csv(folder / "patient.csv", dtype=str)
    patient.iloc[::-1].to_csv(folder / "patient.csv", index=False)
    assert_golden("eicu", read(folder))


def test_free_calcium_in_every_unit_comes_out_in_mmol() -> None:
    _, events = read(DATA / "eicu")
    calcium = events.loc[events["measurement"] == "calcium", "value"]
    assert len(calcium) == 5
    assert calcium.between(1.1, 1.3).all()


@pytest.mark.parametrize("value", ["NaN", "nan", "Infinity", "-inf", "1e39"])
def test_a_value_that_is_no_finite_number_of_float32_is_out(folder: Path, value: str) -> None:
    expected = read(folder)[1]
    replace("lab.csv", "4.3000,4.3", f"{value},4.3")(folder)  # after the window
    replace("lab.csv", "141,2880,", "141,100,")(folder)
    replace("vitalPeriodic.csv", "-5,,94", f"15,{value},94")(folder)
    found = read(folder)[1]
    assert np.isfinite(found["value"]).all()
    assert len(found) == len(expected) + 2  # the row of the monitor counts, without its temperature


def test_a_nurses_number_of_any_length_is_read_or_out(folder: Path) -> None:
    replace("nurseCharting.csv", "Heart Rate,85,", f"Heart Rate,{'9' * 400},")(folder)
    heartrate = read(folder)[1].query("measurement == 'heartrate'")
    assert 85 not in set(heartrate["value"])


@pytest.mark.parametrize("unit", ["mmol/L", "umol/L", "kPa", "g/L"])
def test_a_unit_of_another_kind_is_never_read_as_the_usual_one(folder: Path, unit: str) -> None:
    """Every lab of the golden tables with a value of its usual unit, under another unit."""
    before = read(folder)[1]
    lab = pd.read_csv(folder / "lab.csv", dtype=str).assign(labmeasurenameinterface=unit)
    lab.to_csv(folder / "lab.csv", index=False)
    after = read(folder)[1]
    same = before.merge(after, on=["stay_id", "hour", "measurement", "value"])
    ions = {"potassium", "sodium", "bicarbonate", "lactate", "calcium"}  # mmol/L is theirs
    labs = {m.name for m in MEASUREMENTS if any(i.table == "lab" for i in m.eicu)}
    assert labs & set(same["measurement"]) <= (ions if unit == "mmol/L" else set())


def replace(file: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "vitalAperiodic.csv").unlink(), "no VITALAPERIODIC"),
        (
            replace("lab.csv", "labmeasurenameinterface", "unit"),
            "LAB lacks the columns labmeasurenameinterface",
        ),
        (
            replace("patient.csv", "Female,> 89", "Female,old"),
            r"PATIENT\.age: 1 values are neither from 0 to 120 nor > 89",
        ),
        (
            replace("patient.csv", "Male,64", "Male,inf"),
            r"PATIENT\.age: 1 values are neither from 0 to 120 nor > 89",
        ),
        (
            replace("patient.csv", "Male,64", "Male,-1"),
            r"PATIENT\.age: 1 values are neither from 0 to 120 nor > 89",
        ),
        (
            replace("patient.csv", "unitstaytype", "kind"),
            "PATIENT lacks the columns unitstaytype",
        ),
        (
            lambda folder: (
                [
                    replace("patient.csv", f"Alive,{kind},", "Alive,stepdown/other,")(folder)
                    for kind in ("admit", "readmit", "admit", "admit")
                ]
                + [replace("patient.csv", ",transfer,", ",,")(folder)]
            ),
            r"PATIENT\.unitstaytype: none of 5 values is admit, readmit, transfer",
        ),
        (
            replace("patient.csv", "142,900", "141,900"),
            r"PATIENT\.patientunitstayid: 1 values occur more than once",
        ),
        (replace("patient.csv", "002-10391", ""), r"PATIENT\.uniquepid: 1 values are missing"),
        (
            replace("patient.csv", "African American,73", "African American,"),
            r"PATIENT\.hospitalid: 1 values are missing",
        ),
        (
            replace("patient.csv", "\n145,", "\n,"),
            r"PATIENT\.patientunitstayid: 1 values are missing",
        ),
        (
            replace("patient.csv", ",-120,", ",before,"),
            r"PATIENT\.hospitaladmitoffset: 1 values are no BIGINT",
        ),
        (
            replace("vitalPeriodic.csv", "143,5,", "143,high,"),
            r"VITALPERIODIC\.observationoffset: 1 values are no BIGINT",
        ),
        (
            replace("lab.csv", "141,2880,", "141,<5,"),
            r"LAB\.labresultoffset: 1 values are no BIGINT",
        ),
        (
            lambda folder: (folder / "patient.csv").write_text(
                (folder / "patient.csv").read_text().splitlines()[0] + "\n"
            ),
            "PATIENT has no rows",
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
    assert not {"old", "before", "high", "002-1039"} & set(
        str(error.value).replace(",", " ").split()
    )


def test_limits_are_those_of_mimic() -> None:
    """Except for the rows of another unit, which have limits of their own."""
    for m in MEASUREMENTS:
        usual = {row.limits for row in m.mimic}
        assert {row.limits for row in m.eicu if not row.unit and row.factor == 1} <= usual, m.name


CONVERTED = [
    (m, row) for m in choose(SETS["extended"]) for row in m.eicu if row.unit or row.factor != 1
]


@pytest.mark.parametrize(
    ("m", "row"),
    CONVERTED,
    ids=[f"{m.name}-{'-'.join(row.codes)}-{row.unit}" for m, row in CONVERTED],
)
def test_conversions_keep_within_the_limits_of_their_measurement(m: Measurement, row: Rows) -> None:
    """The smallest and the largest value that count are plausible in the stored unit too."""
    low, high = (
        (v - 32) / 1.8 if row.fahrenheit else v * row.factor
        for v in (row.limits.above, row.limits.highest)
    )
    assert m.limits.above <= low + 1e-9
    assert low < high <= m.limits.highest + 1e-9
    assert row.unit not in m.read_as
    assert not row.unit or row.unit in SPELLINGS
    assert m.unit in m.read_as or m.name == "ph"
