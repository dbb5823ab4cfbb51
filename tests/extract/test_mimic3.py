import gzip
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import slow_reference
from literature_set import MEASUREMENTS, NAMES
from raw_tables import GOLDEN, write_golden

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import EVENTS, STAYS, to_table
from icu_adversarial.extract.sources import mimic3
from icu_adversarial.features.grid import grid_from_events
from icu_adversarial.measurements import choose

EXPECTED = [
    (100, 0.0, "heartrate", 80.0),
    (100, 2.5, "tempc", 38.0),
    (100, 3.0, "spo2", 100.0),
    (100, 10.0, "potassium", 4.1),
    (100, 10.5, "potassium", 4.3),
    (100, 47.99972, "heartrate", 81.0),
    (200, 24.25, "lactate", 2.0),
]


def read(folder: Path, potassium: str = "both") -> tuple[pd.DataFrame, pd.DataFrame]:
    stays, events, *_ = mimic3.read(folder, 48, choose(NAMES, potassium=potassium))
    return to_table(stays, STAYS).to_pandas(), pa.Table.from_batches(events, EVENTS).to_pandas()


def test_golden_stays(tmp_path: Path) -> None:
    stays, _ = read(write_golden(tmp_path / "raw"))
    assert stays["stay_id"].tolist() == [100, 101, 200]
    assert stays["subject_id"].tolist() == [1, 1, 2]
    assert stays["hadm_id"].tolist() == [10, 11, 20]
    assert stays["source_group"].tolist() == ["carevue", "metavision", "metavision"]
    np.testing.assert_allclose(
        stays["age"], [50.0, 50.08, 90.0], atol=0.01
    )  # 300 years stand for 90+
    assert stays["sex"].tolist() == ["F", "F", "M"]
    assert stays["icu_type"].tolist() == ["MICU", "SICU", "CCU"]
    assert stays["admit_hour"].tolist() == [-2.0, -1.5, 0.0]
    assert stays["discharge_hour"].tolist() == [192.0, 58.5, 240.0]
    assert stays["out_hour"].iloc[:2].tolist() == [72.0, 58.5]
    assert np.isnan(stays["out_hour"].iloc[2])
    assert stays["death_hour"].iloc[1] == 58.5
    assert stays["died"].tolist() == [False, True, False]


def test_golden_events_with_a_stay_on_the_full_hour(tmp_path: Path) -> None:
    """Fault ruled out: a stay with intime on the full hour dropped."""
    _, events = read(write_golden(tmp_path / "raw"))
    assert [(s, m) for s, _, m, _ in EXPECTED] == list(
        zip(events["stay_id"], events["measurement"], strict=True)
    )
    np.testing.assert_allclose(events["hour"], [h for _, h, _, _ in EXPECTED], atol=1e-5)
    np.testing.assert_allclose(events["value"], [v for *_, v in EXPECTED], rtol=1e-6)


def test_potassium_from_blood_gases_alone(tmp_path: Path) -> None:
    _, events = read(write_golden(tmp_path / "raw"), "blood_gas")
    assert events.loc[events["measurement"] == "potassium", "value"].tolist() == [np.float32(4.3)]
    assert len(events) == len(EXPECTED) - 1


def test_values_from_after_the_window_changing_the_input_is_ruled_out(tmp_path: Path) -> None:
    later = (
        GOLDEN["CHARTEVENTS"]
        .replace("10:00:00,82,82", "10:00:00,199,199")
        .replace(
            "4,1,10,100,211,2100-01-01 09:59:59,83,83", "4,1,10,100,211,2100-01-03 11:00:00,1,1"
        )
    )
    assert later != GOLDEN["CHARTEVENTS"]
    before, after = (
        read(write_golden(tmp_path / "a")),
        read(write_golden(tmp_path / "b", changes={"CHARTEVENTS": later})),
    )
    pd.testing.assert_frame_equal(before[1], after[1])


@pytest.mark.parametrize("form", ["lower case", "gzip", "parquet"])
def test_every_form_of_the_tables_gives_the_same(tmp_path: Path, form: str) -> None:
    expected = read(write_golden(tmp_path / "csv"))
    folder = write_golden(tmp_path / "raw", upper=form != "lower case")
    for file in list(folder.iterdir()):
        if form == "gzip":
            with gzip.open(f"{file}.gz", "wb") as target:
                target.write(file.read_bytes())
            file.unlink()
        elif form == "parquet":
            with duckdb.connect() as connection:
                connection.execute(
                    f"COPY (SELECT * FROM read_csv('{file}', delim=',', quote='\"')) TO '{file.with_suffix('.parquet')}'"
                )
            file.unlink()
    for ours, theirs in zip(read(folder), expected, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"LABEVENTS": "row_id,subject_id,itemid,charttime,valuenum\n"},
            "LABEVENTS lacks the columns hadm_id",
        ),
        (
            {"ICUSTAYS": GOLDEN["ICUSTAYS"].replace("2100-02-01 01:30:00", "yesterday")},
            r"ICUSTAYS\.intime: 1 values are no TIMESTAMP",
        ),
        (
            {"CHARTEVENTS": GOLDEN["CHARTEVENTS"].replace("2100-01-03 09:59:59", "<5")},
            r"CHARTEVENTS\.charttime: 1 values are no TIMESTAMP",
        ),
        (
            {"CHARTEVENTS": GOLDEN["CHARTEVENTS"].replace("3,1,10,100,", "3,1,10,many,")},
            r"CHARTEVENTS\.icustay_id: 1 values are no BIGINT",
        ),
        ({"PATIENTS": "row_id,subject_id,gender,dob,dod\n"}, "no ICU stay has its patient"),
        ({"PATIENTS": GOLDEN["PATIENTS"] + "3,1,F,2050-01-01 00:00:00,\n"}, "occur more than once"),
    ],
)
def test_bad_tables_are_told_in_one_line_without_patients_values(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(write_golden(tmp_path / "raw", changes=changes))
    assert "\n" not in str(error.value)
    assert not {"yesterday", "many", "2100"} & set(str(error.value).replace(",", " ").split())


def test_missing_table_and_folder_and_damaged_file(tmp_path: Path, mimic_demo: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        read(tmp_path / "nowhere")
    folder = write_golden(tmp_path / "raw")
    (folder / "ADMISSIONS.csv").unlink()
    with pytest.raises(InputError, match="no ADMISSIONS"):
        read(folder)
    torn = tmp_path / "torn"
    shutil.copytree(mimic_demo, torn)
    whole = (mimic_demo / "LABEVENTS.csv.gz").read_bytes()
    (torn / "LABEVENTS.csv.gz").chmod(0o644)
    (torn / "LABEVENTS.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="LABEVENTS cannot be read"):
        read(torn)


def test_demo_agrees_with_the_slow_reference(mimic_demo: Path) -> None:
    stays, events, *_ = mimic3.read(mimic_demo, 48, MEASUREMENTS)
    assert len(stays) == 136
    assert (stays["out_hour"] >= 48).sum() == 73
    table = pa.Table.from_batches(events, EVENTS).to_pandas()
    row = np.searchsorted(stays["stay_id"], table["stay_id"])
    grid = grid_from_events(
        row,
        table["hour"].to_numpy(),
        table["measurement"].cat.codes.to_numpy(),
        table["value"].to_numpy(),
        len(stays),
        range(48),
        NAMES,
    )
    slow = slow_reference.grids(mimic_demo)
    expected = np.full(grid.shape, np.nan)
    for i, stay in enumerate(stays["stay_id"]):
        for (hour, column), value in slow[stay].items():
            expected[i, hour, column] = value
    assert np.isfinite(expected).sum() > 20_000
    np.testing.assert_array_equal(np.isfinite(grid), np.isfinite(expected))
    np.testing.assert_allclose(grid, expected, rtol=1e-6, atol=1e-6)


def test_demo_coverage_is_the_published_one(mimic_demo: Path) -> None:
    """Stays of 48 h or more with at least one value, as PROVENANCE.md of the demo counts them."""
    stays, events, *_ = mimic3.read(mimic_demo, 48, MEASUREMENTS)
    table = pa.Table.from_batches(events, EVENTS).to_pandas()
    long = set(stays.loc[stays["out_hour"] >= 48, "stay_id"])
    counts = (
        table[table["stay_id"].isin(long)]
        .groupby("measurement", observed=False)["stay_id"]
        .nunique()
    )
    assert counts[list(NAMES)].tolist()[:13] == [
        73,
        counts["calcium"],
        51,
        50,
        44,
        28,
        73,
        73,
        73,
        73,
        73,
        73,
        73,
    ]
    assert (counts[list(NAMES[13:])] == 72).all()
