import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import choose
from icu_adversarial.records import challenge2012
from icu_adversarial.tables import EVENTS, STAYS, to_table

HEAD = "Time,Parameter,Value\n00:00,RecordID,{id}\n00:00,Age,{age}\n00:00,Gender,{sex}\n00:00,Height,-1\n00:00,ICUType,{icu}\n00:00,Weight,-1\n"
RECORDS = {
    "set-a": {
        7: HEAD.format(id=7, age=54, sex=0, icu=4)
        + "00:07,HR,73\n00:07,NISysABP,147\n01:30,SysABP,120\n01:30,Temp,35.1\n47:59,K,4.4\n48:00,K,5.0\n",
        3: HEAD.format(id=3, age=91, sex=1, icu=1)
        + "00:10,,5\n02:00,Temp,-17.8\n02:00,NISysABP,-1\n02:00,SaO2,100\n02:00,K,31\n02:00,Urine,60",
    },
    "set-b": {9: HEAD.format(id=9, age=60, sex=-1, icu=2)},  # descriptors only
}
OUTCOMES = {
    "a": "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n7,6,1,5,-1,0\n3,16,8,8,4,1\n",
    "b": "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n9,-1,-1,-1,1,1\n",
}
EXPECTED = [
    (3, 2.0, "spo2", 100.0),
    (7, 0.11667, "heartrate", 73.0),
    (7, 0.11667, "sysbp", 147.0),
    (7, 1.5, "sysbp", 120.0),
    (7, 1.5, "tempc", 35.1),
    (7, 47.98333, "potassium", 4.4),
]


def write(folder: Path, archive: bool = False) -> Path:
    folder.mkdir()
    for name, records in RECORDS.items():
        (folder / f"Outcomes-{name[-1]}.txt").write_text(OUTCOMES[name[-1]])
        if archive:
            with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as tar:
                for record, text in records.items():
                    info = tarfile.TarInfo(f"{name}/{record}.txt")
                    info.size = len(text.encode())
                    tar.addfile(info, io.BytesIO(text.encode()))
        else:
            (folder / name).mkdir()
            for record, text in records.items():
                (folder / name / f"{record}.txt").write_text(text)
    return folder


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    stays, events, *_ = challenge2012.read(folder, 48, choose("both"))
    return to_table(stays, STAYS).to_pandas(), pa.Table.from_batches(events, EVENTS).to_pandas()


@pytest.mark.parametrize("archive", [False, True])
def test_golden_records(tmp_path: Path, archive: bool) -> None:
    stays, events = read(write(tmp_path / "raw", archive))
    assert stays["stay_id"].tolist() == stays["subject_id"].tolist() == [3, 7, 9]
    assert stays["hadm_id"].isna().all()
    assert stays["source_group"].tolist() == ["set-a", "set-a", "set-b"]
    assert stays["age"].tolist() == [90.0, 54.0, 60.0]
    assert stays["sex"].tolist()[:2] == ["M", "F"]
    assert pd.isna(stays["sex"][2])
    assert stays["icu_type"].tolist() == ["CCU", "SICU", "CSRU"]
    assert stays["died"].tolist() == [True, False, True]
    np.testing.assert_array_equal(
        stays["discharge_hour"], [216, 144, np.nan]
    )  # whole days: the last hour that they allow
    np.testing.assert_array_equal(stays["death_hour"], [120, np.nan, 48])
    assert list(zip(events["stay_id"], events["measurement"], strict=True)) == [
        (s, m) for s, _, m, _ in EXPECTED
    ]
    np.testing.assert_allclose(events["hour"], [h for _, h, _, _ in EXPECTED], atol=1e-5)
    np.testing.assert_allclose(events["value"], [v for *_, v in EXPECTED], rtol=1e-6)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "Outcomes-a.txt").unlink(), "Outcomes-a.txt is missing"),
        (
            lambda f: (f / "Outcomes-a.txt").write_text("RecordID,Alive\n7,1\n"),
            "is not an outcome file",
        ),
        (lambda f: (f / "set-a" / "7.txt").unlink(), "1 records, Outcomes-a.txt 2 outcomes"),
        (
            lambda f: (f / "set-a" / "7.txt").write_text("nonsense"),
            r"record 7\.txt does not begin with",
        ),
        (
            lambda f: (f / "set-a" / "7.txt").write_text("Time,Parameter,Value\n00:07,HR,fast\n"),
            "is not HH:MM,parameter,number",
        ),
        (
            lambda f: (f / "set-b").rename(f / "set-z") and (f / "set-a").rename(f / "set-y"),
            "holds none of set-a, set-b, set-c",
        ),
    ],
)
def test_bad_folders_are_told_in_one_line(tmp_path: Path, damage: object, message: str) -> None:
    folder = write(tmp_path / "raw")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)


def test_damaged_archive_is_told_in_one_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "raw", archive=True)
    (folder / "set-a.tar.gz").write_bytes((folder / "set-a.tar.gz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"set-a\.tar\.gz is damaged"):
        read(folder)


def test_blood_gas_potassium_cannot_be_told_here(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not tell which potassium"):
        challenge2012.read(write(tmp_path / "raw"), 48, choose("blood_gas"))


def test_sets_a_and_b(challenge: Path) -> None:
    stays, events = read(challenge)
    assert len(stays) == 8000
    assert stays["died"].sum() == 1122
    assert stays.groupby("source_group")["died"].sum().tolist() == [554, 568]
    share = events.groupby("measurement", observed=False)["stay_id"].nunique() / 8000
    assert share["calcium"] == 0  # not in this data set
    for name, low, high in (
        ("heartrate", 0.97, 1),
        ("ph", 0.75, 0.77),
        ("lactate", 0.54, 0.56),
        ("spo2", 0.44, 0.46),
        ("albumin", 0.39, 0.41),
        ("resprate", 0.27, 0.29),
    ):
        assert low <= share[name] <= high, name
    medians = events.groupby("measurement", observed=False)["value"].median()
    for name, low, high in (
        ("tempc", 36.5, 37.5),
        ("ph", 7.3, 7.45),
        ("sodium", 136, 142),
        ("potassium", 3.9, 4.3),
        ("sysbp", 110, 125),
        ("glucose", 115, 140),
    ):
        assert low < medians[name] < high, name
