"""The set extended on eICU: its tables, conversions and the account of their rows."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from adbc_driver_postgresql import dbapi
from golden import DATA, assert_golden, collect
from places import to_duckdb, to_postgres

from icu_adversarial.extract.account import nested
from icu_adversarial.extract.sources import eicu
from icu_adversarial.measurements import SETS, choose

MEASUREMENTS = choose(SETS["extended"], "eicu")
FOLDER = DATA / "eicu_extended"
# The types that eicu-code gives the columns; the others are texts.
NUMBERS = {
    "bigint": ("nursingchartid", "vitalperiodicid", "vitalaperiodicid"),
    "numeric(12,4)": ("labresult", "temperature", "cellvaluenumeric", "labtypeid"),
    "numeric(10,2)": ("admissionheight", "admissionweight"),
    "double precision": ("noninvasivesystolic", "noninvasivediastolic", "noninvasivemean"),
    "int": (
        *("patientunitstayid", "patienthealthsystemstayid", "hospitalid", "hospitaladmitoffset"),
        *("hospitaldischargeyear", "hospitaldischargeoffset", "unitvisitnumber"),
        *("unitdischargeoffset", "labresultoffset", "labresultrevisedoffset"),
        *("observationoffset", "sao2", "heartrate", "respiration", "systemicsystolic"),
        *("systemicdiastolic", "systemicmean", "nursingchartoffset", "respchartoffset"),
        "intakeoutputoffset",
    ),
}


def types() -> dict[str, str]:
    """The columns of each table, with their types."""
    of = {column: kind for kind, columns in NUMBERS.items() for column in columns}
    return {
        file.stem: ", ".join(
            f"{column} {of.get(column, 'varchar(500)')}"
            for column in file.read_text().splitlines()[0].split(",")
        )
        for file in FOLDER.glob("*.csv")
        if not file.stem.startswith("expected")
    }


@pytest.fixture
def places(postgres: str, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The same tables in a DuckDB file and on a server."""
    database = to_duckdb(FOLDER, types(), tmp_path / "eicu.duckdb")
    to_postgres(database, types(), postgres, "eicu_extended")
    url = tmp_path / "eicu.url"
    url.write_text(postgres)
    yield database, url
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA eicu_extended CASCADE")
        connection.commit()


def test_golden() -> None:
    assert_golden("eicu_extended", collect(eicu.read(FOLDER, 48, MEASUREMENTS)))


def test_a_duckdb_file_and_a_server_give_the_same(places: tuple[Path, Path]) -> None:
    first = eicu.read(FOLDER, 48, MEASUREMENTS)
    expected = collect(first)
    for place in places:
        records = eicu.read(place, 48, MEASUREMENTS)
        for ours, theirs in zip(collect(records), expected, strict=True):
            pd.testing.assert_frame_equal(ours, theirs)
        pd.testing.assert_frame_equal(records.account.table(), first.account.table())


def test_the_account_of_the_tables_that_the_literature_does_not_need() -> None:
    records = eicu.read(FOLDER, 48, MEASUREMENTS)
    collect(records)
    found = nested(records.account.table())
    assert found["intakeoutput"] == {
        "urine": {
            "read": 10,
            "kept": 6,
            "no stay": 1,
            "outside the window": 1,
            "implausible": 1,
            "duplicate": 1,
        },
        "(other codes)": {"read": 4, "kept": 0, "unmapped code": 4},
    }
    assert found["respiratorycharting"] == {
        "fio2": {"read": 5, "kept": 3, "not a number": 1, "implausible": 1},
        "mechvent": {
            "read": 10,
            "kept": 3,
            "no stay": 1,
            "null time": 1,
            "outside the window": 2,
            "not a number": 1,
            "implausible": 1,
            "duplicate": 1,
        },
        "(other codes)": {"read": 1, "kept": 0, "unmapped code": 1},
    }
    assert found["patient"] == {
        "weight": {"read": 5, "kept": 3, "no stay": 1, "implausible": 1},
        "height": {"read": 6, "kept": 4, "no stay": 1, "implausible": 1},
    }
    assert found["nursecharting"]["gcs"] == {
        "read": 4,
        "kept": 2,
        "not a number": 1,
        "implausible": 1,
    }


def test_weight_and_height_are_read_only_if_they_are_chosen() -> None:
    assert "admissionweight" in eicu.tables(MEASUREMENTS)["patient"].columns
    columns = eicu.tables(choose(SETS["literature"], "eicu"))["patient"].columns
    assert not {"admissionweight", "admissionheight"} & set(columns)


def test_weight_alone_is_the_same_as_with_height() -> None:
    _, both = collect(eicu.read(FOLDER, 48, MEASUREMENTS))
    _, alone = collect(eicu.read(FOLDER, 48, choose(["weight"], "eicu")))
    expected = both[both["measurement"] == "weight"]
    assert alone["value"].tolist() == expected["value"].tolist() == pytest.approx([80.5, 70, 66])


def test_every_measurement_has_an_example() -> None:
    events = pd.read_csv(FOLDER / "expected_events.csv")
    assert set(events["measurement"]) >= set(SETS["extended"]) - set(SETS["literature"])
