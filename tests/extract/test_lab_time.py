"""extract.lab_time: a laboratory result counts from the time drawn, or from the time stored."""

import shutil
from pathlib import Path

import pytest
from golden import CODE_MAP, DATA, collect
from pydantic import ValidationError

from icu_adversarial.config.extract import Extract
from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.account import nested
from icu_adversarial.extract.registry import read
from icu_adversarial.measurements import choose

# The first stay of subject 10001 begins at 2152-03-01 10:00, its window ends at 2152-03-03 10:00.
MIMIC4 = """\
20,10001,20000001,20,50983,2152-03-01 09:00:00,2152-03-01 11:00:00,139,139,mEq/L,,drawn before
21,10001,20000001,21,50983,2152-03-01 12:00:00,2152-03-01 12:45:00,140,140,mEq/L,,drawn and stored
22,10001,20000001,22,50983,2152-03-03 09:00:00,2152-03-03 10:30:00,141,141,mEq/L,,stored after
23,10001,20000001,23,50983,2152-03-01 14:00:00,,142,142,mEq/L,,no time of storing
"""
# Stay 143 has no other results. Its window ends at minute 2880.
EICU = """\
50,143,-60,1,sodium,139,139,mmol/L,mmol/L,60,drawn before
51,143,120,1,sodium,140,140,mmol/L,mmol/L,165,drawn and stored
52,143,2820,1,sodium,141,141,mmol/L,mmol/L,2910,stored after
53,143,240,1,sodium,142,142,mmol/L,mmol/L,,no time of storing
54,143,300,1,sodium,143,143,mmol/L,mmol/L,330,revised in the window
55,143,300,1,sodium,144,144,mmol/L,mmol/L,390,its revision
56,143,600,1,sodium,145,145,mmol/L,mmol/L,630,revised after the window
57,143,600,1,sodium,146,146,mmol/L,mmol/L,2940,its revision
"""
STAYS = {"mimiciv": 30000001, "eicu": 143}
TABLES = {"mimiciv": "mimic4/hosp/labevents.csv", "eicu": "eicu/lab.csv"}
SODIUM = choose(["sodium"])


@pytest.fixture(params=TABLES)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def raw(source: str, tmp_path: Path) -> Path:
    """The golden tables, with the rows above."""
    folder, _, table = TABLES[source].partition("/")
    shutil.copytree(DATA / folder, tmp_path / folder)
    with (tmp_path / folder / table).open("a") as file:
        file.write(MIMIC4 if source == "mimiciv" else EICU)
    return tmp_path / folder


def sodium(source: str, raw: Path, lab_time: str) -> tuple[list[tuple[float, float]], dict]:
    """The values of the stay with their hours, and what became of the rows."""
    records = read(source, raw, 48, SODIUM, CODE_MAP, lab_time)
    _, events = collect(records)
    events = events[events["stay_id"] == STAYS[source]]
    rows = nested(records.account.table())[Path(TABLES[source]).stem]["sodium"]
    return list(zip(events["hour"].tolist(), events["value"].tolist(), strict=True)), rows


def test_results_from_the_time_drawn(source: str, raw: Path) -> None:
    found, _ = sodium(source, raw, "drawn")
    if source == "mimiciv":
        assert found == [(2, 140), (4, 142), (47, 141)]
    else:  # a revision counts from the time of the draw, even if it came after the window
        assert found == [(2, 140), (4, 142), (5, 144), (10, 146), (47, 141)]


def test_results_from_the_time_stored(source: str, raw: Path) -> None:
    found, rows = sodium(source, raw, "stored")
    assert rows["null time"] == 1
    assert rows["read"] == sum(count for reason, count in rows.items() if reason != "read")
    if source == "mimiciv":
        assert found == [(1, 139), (2.75, 140)]
    else:  # 144 replaces 143. What came after the window says nothing about 145.
        assert found == [(1, 139), (2.75, 140), (6.5, 144), (10.5, 145)]
        assert rows["revised later"] == 1


def test_the_time_of_storing_is_needed_only_if_it_counts(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "mimic4", tmp_path / "raw"))
    file = folder / "hosp" / "labevents.csv"
    file.write_text(file.read_text().replace("storetime", "other", 1))
    collect(read("mimiciv", folder, 48, SODIUM, CODE_MAP))
    with pytest.raises(InputError, match="LABEVENTS lacks the columns storetime"):
        collect(read("mimiciv", folder, 48, SODIUM, CODE_MAP, "stored"))


@pytest.mark.parametrize("name", ["mimiciii", "challenge2012", "meds"])
def test_a_source_with_one_time_refuses_the_other(name: str) -> None:
    block = {"source": name, "raw": "data/raw/x", "potassium": "both", "code_map": CODE_MAP.name}
    with pytest.raises(ValidationError, match=f"lab_time stored has no effect with source {name}"):
        Extract.model_validate(block | {"lab_time": "stored", "limits": {}})
