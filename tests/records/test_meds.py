import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from golden import CODE_MAP, assert_golden, collect, write_demo, write_meds

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import MEASUREMENTS, choose
from icu_adversarial.records import meds, mimic3
from icu_adversarial.records.code_map import read_code_map


def read(folder: Path, code_map: Path = CODE_MAP) -> tuple[pd.DataFrame, pd.DataFrame]:
    return collect(meds.read(folder, 48, MEASUREMENTS, code_map))


def test_golden(tmp_path: Path) -> None:
    assert_golden("meds", read(write_meds(tmp_path)))


def test_more_columns_and_other_types_of_number_and_time_change_nothing(tmp_path: Path) -> None:
    other = {
        "numeric_value": "numeric_value::DOUBLE",
        "time": "time::TIMESTAMP_NS",
        "subject_id": "subject_id::INTEGER",
        "text_value": "'x'",
    }
    assert_golden("meds", read(write_meds(tmp_path, **other)))


def test_without_splits_every_stay_is_of_one_group(tmp_path: Path) -> None:
    stays, _ = read(write_meds(tmp_path, splits=False))
    assert set(stays["source_group"]) == {"meds"}


def test_without_codes_of_hospital_death_the_time_of_death_decides(tmp_path: Path) -> None:
    code_map = tmp_path / "map.csv"
    code_map.write_text(
        "".join(
            line for line in CODE_MAP.read_text().splitlines(True) if "hospital_death" not in line
        )
    )
    stays, _ = read(write_meds(tmp_path), code_map)
    # the first subject's death is a date: midnight of the day of discharge, before the discharge
    assert stays["died"].tolist() == [True, True, True, None, False, False]
    assert stays["death_hour"].tolist()[:3] == [182.0, 148.0, 77.5]


def test_the_demo_of_mimic3_as_meds_gives_the_same_stays_and_all_its_events(
    mimic_demo: Path, tmp_path: Path
) -> None:
    """Real records, but for what MEDS does not tell: ids, and which of two stays an event belongs to."""
    write_demo(mimic_demo, tmp_path)
    (stays, events), (expected_stays, expected_events) = (
        read(tmp_path),
        collect(mimic3.read(mimic_demo, 48, MEASUREMENTS)),
    )
    in_order = expected_stays.sort_values(["subject_id", "subject_order"], ignore_index=True)
    hours = ["admit_hour", "discharge_hour", "out_hour", "age"]
    for column in ["subject_id", "subject_order", "sex", "icu_type", "died", *hours]:
        pd.testing.assert_series_equal(
            stays[column], in_order[column], check_dtype=False, rtol=1e-5
        )
    number = in_order["stay_id"].to_list()
    named = events.assign(stay_id=events["stay_id"].map(lambda i: number[i - 1]))
    keys = ["stay_id", "hour", "measurement", "value"]
    both = (
        expected_events[keys]
        .round(4)
        .value_counts()
        .sub(named[keys].round(4).value_counts(), fill_value=0)
    )
    assert (both <= 0).all()
    assert (both < 0).sum() < len(expected_events) / 100


def test_a_value_is_converted_before_its_limits_apply(tmp_path: Path) -> None:
    """50.5 of a unit twice as large as ours is out, 20 is in."""
    code_map = tmp_path / "map.csv"
    code_map.write_text(
        CODE_MAP.read_text().replace(
            "LAB//RESULT//50813//*,lactate,,", "LAB//RESULT//50813//*,lactate,0.5,10"
        )
    )
    _, events = read(write_meds(tmp_path), code_map)
    assert events.loc[events["measurement"] == "lactate", "value"].tolist() == [11.0, 35.25]


def test_the_map_in_the_repository_has_the_items_of_mimiciv() -> None:
    in_map: dict[str, set[int]] = {}
    for meaning in read_code_map(CODE_MAP):
        if found := re.fullmatch(r"LAB//(?:RESULT//)?(\d+)//", meaning.code):
            in_map.setdefault(meaning.stands_for, set()).add(int(found[1]))
    of_mimic = {
        m.name: {int(i) for items in m.items for i in items.itemids if int(i) > 50000}
        for m in MEASUREMENTS
    }  # smaller: CareVue, MIMIC-III
    assert in_map == of_mimic


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: [f.unlink() for f in folder.rglob("data/**/*.parquet")],
            r"holds no data/\*\*/\*\.parquet",
        ),
        (lambda folder: write_meds(folder, numeric_value=""), "lack the columns numeric_value"),
        (
            lambda folder: write_meds(folder, time="why"),
            "a value is not of the type that MEDS gives it",
        ),
        (
            lambda folder: write_meds(folder, code="'X' || code"),
            "none of its codes stands for a measurement",
        ),
        (
            lambda folder: write_meds(folder, code="replace(code, 'ICU_A', 'A')"),
            "none of its codes stands for icu_admission",
        ),
        (
            lambda folder: (folder / "data/train/0.parquet").write_bytes(b"nothing"),
            "is damaged, or not what its name says",
        ),
    ],
)
def test_bad_data_are_told_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = write_meds(tmp_path)
    damage(folder)
    with pytest.raises(InputError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)
    assert "2160" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "code,stands_for",
            "codes,stands_for",
            "the first line must be code,stands_for,factor,offset",
        ),
        (
            "LAB//220277//*,spo2,,",
            "LAB//220277//*,sao2,,",
            "line 51: stands_for is 'sao2', expected one of icu_admission",
        ),
        ("LAB//220277//*,spo2,,", "LAB//220277//*,spo2", "line 51: 2 fields"),
        ("0.5555555555555556", "5/9", "line 47: factor or offset is not a number"),
        ("ICU_DISCHARGE//*,icu_discharge,,", "", "no code stands for icu_discharge"),
        (
            "LAB//220277//*,spo2,,",
            "LAB//220045//b*,spo2,,",
            r"1 codes stand for several measurements, the first is LAB//220045//bpm",
        ),
    ],
)
def test_bad_code_maps_are_told_in_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in CODE_MAP.read_text()
    code_map = tmp_path / "map.csv"
    code_map.write_text(CODE_MAP.read_text().replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        read(write_meds(tmp_path), code_map)
    assert "\n" not in str(error.value)


def test_missing_code_map(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"map\.csv is missing"):
        read(write_meds(tmp_path), tmp_path / "map.csv")


def test_blood_gas_potassium_is_the_code_maps_choice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the code map says which potassium counts"):
        meds.read(write_meds(tmp_path), 48, choose("blood_gas"), CODE_MAP)
