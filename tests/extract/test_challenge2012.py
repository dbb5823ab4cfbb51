import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from literature_set import MEASUREMENTS
from raw_tables import HEAD, OUTCOMES, RECORDS, write_challenge

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EVENTS, STAYS, to_table
from icu_adversarial.extract.account import IMPLAUSIBLE, KEPT, NO_NUMBER, nested
from icu_adversarial.extract.sources import challenge2012
from icu_adversarial.measurements import SETS, choose

EXPECTED = [
    (3, 2.0, "spo2", 100.0),
    (7, 0.11667, "heartrate", 73.0),
    (7, 0.11667, "sysbp", 147.0),
    (7, 1.5, "sysbp", 120.0),
    (7, 1.5, "tempc", 35.1),
    (7, 47.98333, "potassium", 4.4),
]


def read(folder: Path, window_hours: int = 48) -> tuple[pd.DataFrame, pd.DataFrame]:
    stays, events, *_ = challenge2012.read(folder, window_hours, MEASUREMENTS)
    return to_table(stays, STAYS).to_pandas(), pa.Table.from_batches(events, EVENTS).to_pandas()


@pytest.mark.parametrize("archive", [False, True])
def test_golden_records(tmp_path: Path, archive: bool) -> None:
    stays, events = read(write_challenge(tmp_path / "raw", archive))
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
            lambda f: (f / "Outcomes-a.txt").write_text(OUTCOMES["a"].replace("-1,0\n", "-1,2\n")),
            "In-hospital_death: 1 values are neither 0 nor 1",
        ),
        (
            lambda f: shutil.copy(f / "set-a" / "7.txt", f / "set-a" / "07.txt"),
            r"record 7\.txt is there twice: remove one",
        ),
        (
            lambda f: shutil.move(write_challenge(f / "again", archive=True) / "set-a.tar.gz", f),
            r"set-a is there twice: set-a and set-a\.tar\.gz: remove one",
        ),
        (
            lambda f: (f / "set-b").rename(f / "set-z") and (f / "set-a").rename(f / "set-y"),
            "holds none of set-a, set-b, set-c",
        ),
    ],
)
def test_bad_folders_are_told_in_one_line(tmp_path: Path, damage: object, message: str) -> None:
    folder = write_challenge(tmp_path / "raw")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("blank", ["\n", "\r\n", "  \n", "\t\r\n", "\n\n\n"])
def test_blank_lines_are_skipped(blank: str, archive: bool, tmp_path: Path) -> None:
    expected = read(write_challenge(tmp_path / "plain", archive))
    spaced = {
        name: {i: text.replace("\n", f"\n{blank}") + blank for i, text in records.items()}
        for name, records in RECORDS.items()
    }
    raw = write_challenge(tmp_path / "raw", archive, spaced)
    for ours, theirs in zip(read(raw), expected, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


def test_lines_that_end_as_on_other_systems_are_lines(tmp_path: Path) -> None:
    folder = write_challenge(tmp_path / "raw")
    expected = read(folder)
    for ending in ("\r\n", "\r"):
        text = RECORDS["set-a"][7].replace("\n", ending)
        (folder / "set-a" / "7.txt").write_bytes(text.encode())
        for ours, theirs in zip(read(folder), expected, strict=True):
            pd.testing.assert_frame_equal(ours, theirs)


def test_a_window_longer_than_the_records_is_refused(tmp_path: Path) -> None:
    folder = write_challenge(tmp_path / "raw")
    with pytest.raises(InputError, match=r"^window_hours: 49: .* use at most 48$"):
        read(folder, 49)
    _, events = read(folder, 24)
    assert events["hour"].max() < 24


# Length_of_stay, Survival, In-hospital_death → died, discharge_hour, death_hour, death_day,
# followed_days
LABELS = {
    "survivor": ((5, -1, 0), False, (144.0, np.nan, np.nan, 365)),
    "death after the discharge": ((5, 9, 0), False, (144.0, np.nan, 9, 365)),
    "death in the hospital": ((8, 4, 1), True, (216.0, 120.0, 4, 365)),
    "death on the last day": ((4, 4, 1), True, (120.0, 120.0, 4, 365)),
    "death on an unknown day": ((8, -1, 1), True, (216.0, np.nan, np.nan, np.nan)),
    "unknown length of stay": ((-1, -1, 0), False, (np.nan, np.nan, np.nan, 365)),
    "alive, with a death before the discharge": ((8, 4, 0), None, (216.0, np.nan, np.nan, np.nan)),
    "dead in the hospital, after the discharge": ((5, 9, 1), None, (144.0, 240.0, np.nan, np.nan)),
    "death before ICU admission": ((5, -7, 0), False, (144.0, np.nan, np.nan, np.nan)),
}


def test_every_rule_of_the_label(tmp_path: Path) -> None:
    (tmp_path / "set-a").mkdir()
    lines = ["RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"]
    for i, ((length, survival, death), *_) in enumerate(LABELS.values()):
        (tmp_path / "set-a" / f"{i}.txt").write_text(HEAD.format(id=i, age=60, sex=0, icu=1))
        lines.append(f"{i},1,1,{length},{survival},{death}")
    (tmp_path / "Outcomes-a.txt").write_text("\n".join(lines))
    stays, _ = read(tmp_path)
    assert [None if pd.isna(died) else died for died in stays["died"]] == [
        died for _, died, *_ in LABELS.values()
    ]
    expected = np.array([hours for *_, hours in LABELS.values()])
    columns = ["discharge_hour", "death_hour", "death_day", "followed_days"]
    np.testing.assert_array_equal(stays[columns], expected)
    assert stays["icu_died"].isna().all()


def test_the_set_extended(tmp_path: Path) -> None:
    """Fractions of oxygen become percent, an unknown weight does not count, and SaO2 is itself."""
    text = HEAD.format(id=7, age=54, sex=0, icu=4).replace("Height,-1", "Height,170.2") + (
        "01:00,FiO2,0.5\n01:00,FiO2,40\n02:00,MechVent,1\n02:00,GCS,15\n02:00,GCS,2\n"
        "03:00,Urine,0\n03:00,Urine,60\n04:00,SaO2,97\n04:00,MAP,80\n04:00,NIMAP,81\n"
        "05:00,Weight,80.5\n05:00,TroponinT,0.5\n05:00,RespRate,18\n"
    )
    folder = write_challenge(
        tmp_path / "raw",
        records={"set-a": {7: text, 3: HEAD.format(id=3, age=1, sex=1, icu=1)}},
    )
    measurements = choose(SETS["extended"], "challenge2012")
    stays, events, account, _ = challenge2012.read(folder, 48, measurements)
    found = pa.Table.from_batches(events, EVENTS).to_pandas()
    assert list(zip(found["hour"], found["measurement"], found["value"].round(1), strict=True)) == [
        (0, "height", np.float32(170.2)),
        (1, "fio2", 50),
        (2, "gcs", 15),
        (2, "mechvent", 1),
        (3, "urine", 0),
        (3, "urine", 60),
        (4, "map", 80),
        (4, "map", 81),
        (4, "sao2", 97),
        (5, "resprate", 18),
        (5, "troponin_t", 0.5),
        (5, "weight", 80.5),
    ]
    rows = nested(account.table())["set-a"]
    assert rows["weight"] == {"read": 3, KEPT: 1, NO_NUMBER: 2}
    assert rows["height"] == {"read": 2, KEPT: 1, NO_NUMBER: 1}
    assert rows["fio2"] == {"read": 2, KEPT: 1, IMPLAUSIBLE: 1}
    assert "spo2" not in rows
    assert len(stays) == 2


def test_measurements_that_the_records_do_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the Challenge records have none of calcium, gcs_eye"):
        challenge2012.read(write_challenge(tmp_path / "raw"), 48, choose(["calcium", "gcs_eye"]))


def test_damaged_archive_is_told_in_one_line(tmp_path: Path) -> None:
    folder = write_challenge(tmp_path / "raw", archive=True)
    (folder / "set-a.tar.gz").write_bytes((folder / "set-a.tar.gz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"set-a\.tar\.gz is damaged"):
        read(folder)


def test_sets_a_and_b(challenge: Path) -> None:
    stays, events = read(challenge)
    assert len(stays) == 8000
    assert stays["died"].sum() == 1122
    assert stays["died"].isna().sum() == 2  # survivors whose Survival is within their stay
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
