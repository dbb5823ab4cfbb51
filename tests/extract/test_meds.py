import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from golden import CODE_MAP, assert_golden, collect, write_demo, write_meds
from literature_set import MEASUREMENTS

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import meds, mimic3
from icu_adversarial.extract.sources.code_map import read_code_map
from icu_adversarial.measurements import SETS, choose


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


def without_code_of_death(folder: Path) -> Path:
    code_map = folder / "map.csv"
    lines = CODE_MAP.read_text().splitlines(True)
    code_map.write_text("".join(line for line in lines if "hospital_death" not in line))
    return code_map


def test_every_rule_of_admissions_and_outcomes(tmp_path: Path) -> None:
    folder = write_meds(tmp_path, splits=False, name="meds_edges")
    assert_golden("meds_edges", read(folder))
    found = read(folder, without_code_of_death(tmp_path))
    assert_golden("meds_edges", found, "stays_without_code_of_death")
    assert meds.read(folder, 48, MEASUREMENTS, CODE_MAP).excluded == {
        "ICU admissions without a time": 1
    }


def test_a_code_of_death_that_the_data_never_have_decides_nothing(tmp_path: Path) -> None:
    """The map names one, the data do not: their times of death decide, as without it."""
    folder = write_meds(
        tmp_path, splits=False, name="meds_edges", code="replace(code, '//DIED', '//DEAD')"
    )
    assert_golden("meds_edges", read(folder), "stays_without_code_of_death")


def test_only_the_discharge_of_the_own_admission_counts(tmp_path: Path) -> None:
    """Where hadm_id names it, an admission needs no code, and an event may belong to another."""
    hadm = "1000 * subject_id::INT + (time >= '2160-02-01')::INT"
    hadm = f"CASE WHEN code LIKE 'LAB%' THEN 7 ELSE {hadm} END"
    folder = write_meds(tmp_path / "named", splits=False, name="meds_edges", hadm_id=hadm)
    stays, events = read(folder)
    expected, _ = read(write_meds(tmp_path / "timed", splits=False, name="meds_edges"))
    assert stays["hadm_id"].tolist()[:12] == [1000 * i for i in range(1, 13)]
    assert stays["hadm_id"].tolist()[12:17] == [13000, 13001, 14000, 15000, 15001]
    # Two admissions of the subjects 16 and 20 have one number here. 14 left before the ICU.
    same = ~stays["subject_id"].isin([14, 16, 20])
    columns = ["admit_hour", "discharge_hour", "out_hour", "death_hour", "died"]
    pd.testing.assert_frame_equal(stays.loc[same, columns], expected.loc[same, columns])
    assert stays.loc[14, ["admit_hour", "discharge_hour", "died"]].tolist() == [-2, -1, False]
    assert events.empty


def test_hadm_id_without_any_value_is_as_none(tmp_path: Path) -> None:
    assert_golden("meds", read(write_meds(tmp_path, hadm_id="NULL::BIGINT")))


def test_without_codes_of_hospital_admission_the_admissions_are_unknown(tmp_path: Path) -> None:
    code = "replace(code, 'HOSPITAL_ADMISSION', 'ADMISSION')"
    stays, _ = read(write_meds(tmp_path, code=code))
    assert stays["hadm_id"].isna().all()
    assert stays["died"].tolist() == [False, False, True, None, False, False]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_hours_do_not_depend_on_the_time_zone_of_the_machine(tmp_path: Path, zone: str) -> None:
    """Times with a time zone, across the change to summer time of 2160 in New York, 9 March."""
    timed = "(time || '+00')::TIMESTAMPTZ"
    folder = write_meds(tmp_path / "raw", time=timed)
    program = (
        "import sys; sys.path[:0] = sys.argv[1:3]; from pathlib import Path; "
        "from test_meds import read; from golden import assert_golden; "
        "assert_golden('meds', read(Path(sys.argv[3]))); print('the same')"
    )
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tests), str(tests / "extract"), str(folder)],
        env=os.environ | {"TZ": zone, "PYTHONPATH": str(tests.parent / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the same\n", done.stderr


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?", "a=b", "time=5", "subject_id=9"])
def test_the_name_of_a_folder_is_no_pattern_and_no_column(tmp_path: Path, name: str) -> None:
    for other in ("run1", "runs", "a"):
        write_meds(tmp_path / other, subject_id="subject_id::BIGINT + 100")
    assert_golden("meds", read(write_meds(tmp_path / name)))


def test_links_and_large_letters_are_found(tmp_path: Path) -> None:
    folder = write_meds(tmp_path / "raw")
    shards = folder / "data"
    (shards / "train").rename(tmp_path / "elsewhere")
    (shards / "train").symlink_to(tmp_path / "elsewhere")
    (shards / "held_out" / "0.parquet").rename(shards / "held_out" / "0.PARQUET")
    assert_golden("meds", read(folder))


def test_a_file_that_two_links_lead_to_counts_once(tmp_path: Path) -> None:
    folder = write_meds(tmp_path / "raw")
    (folder / "data" / "latest").symlink_to(folder / "data" / "train")
    (folder / "data" / "self").symlink_to(folder / "data")
    assert_golden("meds", read(folder))


def test_a_text_with_a_time_zone_is_a_time_of_utc(tmp_path: Path) -> None:
    timed = "strftime(time::TIMESTAMP + INTERVAL 5 HOURS, '%Y-%m-%dT%H:%M:%S') || '+05:00'"
    assert_golden("meds", read(write_meds(tmp_path / "raw", time=timed)))


def test_without_splits_every_stay_is_of_one_group(tmp_path: Path) -> None:
    stays, _ = read(write_meds(tmp_path, splits=False))
    assert set(stays["source_group"]) == {"meds"}


def test_without_codes_of_hospital_death_the_time_of_death_decides(tmp_path: Path) -> None:
    stays, _ = read(write_meds(tmp_path), without_code_of_death(tmp_path))
    # The first subject's death is a date, that of the discharge: no later than the discharge.
    assert stays["died"].tolist() == [True, True, True, None, False, False]
    assert stays["death_hour"].tolist()[:3] == [192.0, 158.0, 77.5]


def test_the_demo_of_mimic3_as_meds_gives_the_same_stays_and_all_its_events(
    mimic_demo: Path, tmp_path: Path
) -> None:
    """Real records. MEDS has no ids of stays, and does not say to which stay an event belongs."""
    write_demo(mimic_demo, tmp_path)
    (stays, events), (expected_stays, expected_events) = (
        read(tmp_path),
        collect(mimic3.read(mimic_demo, 48, MEASUREMENTS)),
    )
    in_order = expected_stays.sort_values(["subject_id", "subject_order"], ignore_index=True)
    admissions = pd.read_csv(mimic_demo / "ADMISSIONS.csv.gz", index_col="hadm_id")
    of_stays = admissions.reindex(in_order["hadm_id"]).reset_index(drop=True)
    for hour, time in (("discharge_hour", "dischtime"), ("death_hour", "deathtime")):
        midnight = of_stays[time].str.endswith(" 00:00:00").fillna(False).astype(bool)
        assert 0 < midnight.sum() < 5
        in_order[hour] += midnight * (24 - 1 / 3600)  # known to the day: its last second
    # One death is recorded a day after the discharge of the dead patient.
    left, died = (
        pd.to_datetime(of_stays[time]).dt.normalize() for time in ("dischtime", "deathtime")
    )
    in_order["death_day"] -= (died - left).dt.days.clip(lower=0).fillna(0)
    in_order["death_hour"] = in_order["death_hour"].clip(upper=in_order["discharge_hour"])
    hours = ["admit_hour", "discharge_hour", "out_hour", "death_hour", "age"]
    outcomes = ["died", "icu_died", "death_day"]
    for column in ["subject_id", "subject_order", "sex", "icu_type", *outcomes, *hours]:
        pd.testing.assert_series_equal(
            stays[column], in_order[column], check_dtype=False, rtol=1e-5
        )
    number = in_order["stay_id"].to_list()
    named = events.assign(stay_id=events["stay_id"].map(lambda i: number[i - 1]))
    keys = ["stay_id", "hour", "measurement", "value"]
    both = (  # several items have one code here: their identical values count once
        expected_events[keys]
        .round(4)
        .drop_duplicates()
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
    names = SETS["extended"]
    in_map: dict[str, set[int]] = {}
    for meaning in read_code_map(CODE_MAP, names):
        if found := re.fullmatch(r"(?:LAB|LAB//RESULT|\w+_OUTPUT)//(\d+)//", meaning.code):
            in_map.setdefault(meaning.stands_for, set()).add(int(found[1]))
    of_mimic = {
        m.name: {int(code) for rows in m.mimic for code in rows.codes if int(code) > 50000}
        for m in choose(names, "mimiciv")
    }  # smaller: CareVue, MIMIC-III
    del of_mimic["gcs"]  # the sum of its parts
    assert in_map == of_mimic


def without(file: Path, column: str) -> bytes:
    """The bytes of a Parquet file without one of its columns."""
    with pa.BufferOutputStream() as stream:
        pq.write_table(pq.read_table(file).drop_columns([column]), stream)
        return stream.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: [f.unlink() for f in folder.rglob("data/**/*.parquet")],
            r"holds no data/\*\*/\*\.parquet",
        ),
        (lambda folder: write_meds(folder, numeric_value=""), "lack the columns numeric_value"),
        (
            lambda folder: write_meds(folder, hadm_id="'x'"),
            "a value is not of the type that MEDS gives it",
        ),
        (
            lambda folder: (folder / "data/held_out/1.parquet").write_bytes(
                without(folder / "data/held_out/0.parquet", "time")
            ),
            "1 of 4 files of events lack the columns time: found code, numeric_value, subject_id",
        ),
        (
            lambda folder: write_meds(folder, subject_id="nullif(subject_id, '3')::BIGINT"),
            "rows have no subject_id",
        ),
        (
            lambda folder: write_meds(folder, time="if(code LIKE 'ICU_A%', NULL, time)::TIMESTAMP"),
            "no ICU admission has a time",
        ),
        (
            lambda folder: pd.DataFrame(
                {"subject_id": [1, 1, 2], "split": ["train", "held_out", "train"]}
            ).to_parquet(folder / "metadata" / "subject_splits.parquet"),
            r"subject_splits\.parquet: 1 subjects are in two splits",
        ),
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
            lambda folder: (shutil.rmtree(folder / "data"), (folder / "data").write_bytes(b"x")),
            r"holds no data/\*\*/\*\.parquet: give the root of a MEDS data set",
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
            "LAB//220277//*,pulse,,",
            "line {line}: stands_for is 'pulse', expected one of icu_admission",
        ),
        ("LAB//220277//*,spo2,,", "LAB//220277//*,spo2", "line {line}: 2 fields"),
        ("0.5555555555555556", "5/9", "line {line}: factor or offset is not a number"),
        ("0.5555555555555556", "nan", "line {line}: factor or offset is not a number"),
        ("-17.77777777777778", "inf", "line {line}: factor or offset is not a number"),
        ("0.5555555555555556", "0", "line {line}: a factor of 0 makes all values equal"),
        (
            "LAB//220277//*,spo2,,",
            "LAB//220210//*,resprate,,",
            r"line {line}: LAB//220210//\* stands for resprate twice",
        ),
        ("LAB//220045//*,", '"LAB//220045//*,', "line {line}: not a line of CSV"),
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
    before, found, _ = CODE_MAP.read_text().partition(old)
    assert found
    code_map = tmp_path / "map.csv"
    code_map.write_text(CODE_MAP.read_text().replace(old, new))
    message = message.replace("{line}", str(before.count("\n") + 1))
    with pytest.raises(InputError, match=message) as error:
        read(write_meds(tmp_path), code_map)
    assert "\n" not in str(error.value)


def test_missing_code_map(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"map\.csv is missing"):
        read(write_meds(tmp_path), tmp_path / "map.csv")
