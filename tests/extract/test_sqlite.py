"""Raw tables in a SQLite file, as both scripts of mimic-code write it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from golden import CODE_MAP, DATA, assert_golden, collect
from literature_set import MEASUREMENTS, NAMES

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import mimic4
from icu_adversarial.extract.storage.sqlite import stream
from icu_adversarial.extract.storage.views import Table
from icu_adversarial.tools.validate import validate

FILES = [*(DATA / "mimic4" / "hosp").glob("*.csv"), *(DATA / "mimic4" / "icu").glob("*.csv")]


def write(file: Path, script: str) -> Path:
    """The golden tables of MIMIC-IV.

    script: import.sh makes a text of every column, and an empty text of a missing value. import.py
    stores numbers, and ids as real numbers where some are missing.
    """
    with closing(sqlite3.connect(file)) as database:
        for table in FILES:
            frame = pd.read_csv(table, dtype=str if script == "import.sh" else None)
            if script == "import.sh":
                frame = frame.fillna("")
            frame.to_sql(table.stem, database, index=False)
    return file


@pytest.mark.parametrize(
    ("script", "name"), [("import.sh", "mimic4.db"), ("import.py", "mimic4.sqlite")]
)
def test_golden(script: str, name: str, tmp_path: Path) -> None:
    raw = write(tmp_path / name, script)
    records = mimic4.read(raw, 48, MEASUREMENTS)
    assert_golden("mimic4", collect(records))
    same = mimic4.read(DATA / "mimic4", 48, MEASUREMENTS)
    collect(same)
    pd.testing.assert_frame_equal(records.account.table(), same.account.table())


def test_a_number_is_not_rounded(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 98.6, 1e-300, 123456789.123456789, -5e300]
    with closing(sqlite3.connect(tmp_path / "raw.db")) as database:
        pd.DataFrame({"value": values}).to_sql("numbers", database)
    table = Table({"value": "DOUBLE PRECISION"})
    found = stream(tmp_path / "raw.db", "numbers", table).read_all()
    assert [float(text) for text in found["value"].to_pylist()] == values


def test_validate_reads_it(tmp_path: Path) -> None:
    raw = write(tmp_path / "mimic4.db", "import.sh")
    lines = list(validate(raw, None, 48, CODE_MAP, NAMES))
    assert "MIMIC-IV" in lines[0]
    assert lines[-1].startswith("Usable")


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    raw = write(tmp_path / "mimic4.db", "import.sh")
    with closing(sqlite3.connect(raw)) as database:
        database.execute("UPDATE chartevents SET charttime = 'zebra'")
        database.commit()
    with pytest.raises(InputError, match=r"CHARTEVENTS\.charttime: \d+ values are no TIMESTAMP"):
        collect(mimic4.read(raw, 48, MEASUREMENTS))
    with closing(sqlite3.connect(raw)) as database:
        database.execute("ALTER TABLE chartevents RENAME COLUMN valuenum TO number")
    with pytest.raises(InputError, match="CHARTEVENTS lacks the columns valuenum"):
        collect(mimic4.read(raw, 48, MEASUREMENTS))
    with closing(sqlite3.connect(raw)) as database:
        database.execute("DROP TABLE chartevents")
    with pytest.raises(InputError, match="no table CHARTEVENTS"):
        collect(mimic4.read(raw, 48, MEASUREMENTS))


@pytest.mark.parametrize("start", [16, 4096])
def test_a_damaged_file_is_one_line(start: int, tmp_path: Path) -> None:
    raw = write(tmp_path / "mimic4.db", "import.sh")
    content = bytearray(raw.read_bytes())
    content[start:] = b"\xff" * (len(content) - start)
    raw.write_bytes(content)
    with pytest.raises(InputError, match="damaged") as error:
        collect(mimic4.read(raw, 48, MEASUREMENTS))
    assert str(error.value).startswith(str(raw))
    assert "\n" not in str(error.value)


def test_names_with_signs_of_a_url_are_read_as_they_are(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw.db", "import.sh")
    other = Path(shutil.move(raw, tmp_path / "my raw #1?mode=x&50%.db"))
    assert_golden("mimic4", collect(mimic4.read(other, 48, MEASUREMENTS)))
    assert not list(tmp_path.glob("*-journal"))
