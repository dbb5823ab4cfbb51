"""Which file of a folder is a table: exactly one, whatever its form, case and place."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from golden import CODE_MAP, DATA, assert_golden, collect, write_meds
from literature_set import MEASUREMENTS, NAMES

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.sources import eicu, meds, mimic4
from icu_adversarial.extract.storage.raw_files import find_file
from icu_adversarial.measurements import SETS, choose
from icu_adversarial.tools.validate import validate

CHARTS = Path("icu") / "chartevents.csv"


def to_gzip(folder: Path) -> None:
    (folder / f"{CHARTS}.gz").write_bytes(gzip.compress((folder / CHARTS).read_bytes()))


def to_parquet(folder: Path, name: str) -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    pd.read_csv(folder / CHARTS).to_parquet(file)


def to_upper(folder: Path) -> None:
    shutil.copy(folder / CHARTS, folder / "icu" / "CHARTEVENTS.csv")


def to_root(folder: Path) -> None:
    shutil.copy(folder / CHARTS, folder / "chartevents.csv")


SECOND = {
    "gzip": (to_gzip, "icu/chartevents.csv and icu/chartevents.csv.gz"),
    "parquet": (
        lambda folder: to_parquet(folder, "icu/chartevents.parquet"),
        "icu/chartevents.csv and icu/chartevents.parquet",
    ),
    "folder of parquet": (
        lambda folder: to_parquet(folder, "icu/chartevents/0.parquet"),
        "icu/chartevents and icu/chartevents.csv",
    ),
    "upper case": (to_upper, "icu/CHARTEVENTS.csv and icu/chartevents.csv"),
    "root": (to_root, "chartevents.csv and icu/chartevents.csv"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "mimic4", tmp_path / "raw"))


@pytest.mark.parametrize("form", SECOND)
def test_a_table_in_two_forms_is_refused(form: str, folder: Path) -> None:
    change, names = SECOND[form]
    change(folder)
    message = f"CHARTEVENTS is there 2 times: {names}: remove one"
    with pytest.raises(InputError, match=message) as error:
        collect(mimic4.read(folder, 48, MEASUREMENTS))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=message):
        list(validate(folder, None, 48, CODE_MAP, NAMES))
    (folder / CHARTS).unlink()  # what is left is read
    if form != "root":
        assert_golden("mimic4", collect(mimic4.read(folder, 48, MEASUREMENTS)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: (parts / "old").mkdir(),
        lambda parts: shutil.copy(DATA / "mimic4" / CHARTS, parts / "1.csv"),
        lambda parts: (parts / "0.parquet").rename(parts / "0.PARQUET"),
    ],
)
def test_a_folder_of_parquet_holds_nothing_else(
    spoil: Callable[[Path], object], folder: Path
) -> None:
    to_parquet(folder, "icu/chartevents/0.parquet")
    (folder / CHARTS).unlink()
    (folder / "icu" / "chartevents" / "_SUCCESS").touch()  # by Spark: not a part
    assert_golden("mimic4", collect(mimic4.read(folder, 48, MEASUREMENTS)))
    spoil(folder / "icu" / "chartevents")
    with pytest.raises(InputError, match=r"CHARTEVENTS|chartevents holds .*nothing else"):
        collect(mimic4.read(folder, 48, MEASUREMENTS))


def test_a_column_that_is_there_twice_is_refused(folder: Path) -> None:
    frame = pd.read_csv(folder / CHARTS)
    frame.assign(VALUENUM=1.0).to_parquet(folder / "icu" / "chartevents.parquet")
    (folder / CHARTS).unlink()
    with pytest.raises(InputError, match="CHARTEVENTS has the columns valuenum twice"):
        collect(mimic4.read(folder, 48, MEASUREMENTS))


@pytest.mark.parametrize("name", ["run[1]", "a*", "what?", "{a,b}", "it's (1)"])
def test_names_that_look_like_patterns_and_links_are_read_as_they_are(
    name: str, tmp_path: Path
) -> None:
    for sibling in ("run1", "ab", "whatx"):  # what the patterns would match
        (tmp_path / sibling).mkdir()
    shutil.copytree(DATA / "mimic4", tmp_path / name)
    to_parquet(tmp_path / name, "icu/chartevents/[0].parquet")
    (tmp_path / name / CHARTS).unlink()
    (tmp_path / "link").symlink_to(tmp_path / name)
    for folder in (tmp_path / name, tmp_path / "link"):
        assert_golden("mimic4", collect(mimic4.read(folder, 48, MEASUREMENTS)))


@pytest.mark.parametrize(
    "name",
    [
        *("chartevents_2.csv", "CHARTEVENTS (1).csv", "chartevents2.csv.gz", "Chartevents.old.csv"),
        *("Copy of chartevents.csv", "chartevents - Copy.csv", "chartevents-1.parquet"),
        *("CHARTEVENTS.csv (1).gz", "Kopie von chartevents.csv", "chartevents - Kopie (2).csv"),
        *("old_chartevents.csv", "1-CHARTEVENTS.parquet", "2chartevents.csv", "chartevents.csv.1"),
        *("copie de chartevents.csv.gz", "neu.chartevents.csv", "chartevents.csv~"),
    ],
)
def test_a_part_or_a_copy_of_a_table_is_refused(name: str, folder: Path) -> None:
    shutil.copy(folder / CHARTS, folder / "icu" / name)
    assert_parts_are_named(folder, name)
    (folder / CHARTS).unlink()  # a part alone is no table
    assert_parts_are_named(folder, name)


def test_the_parts_of_a_table_are_refused_by_name(folder: Path) -> None:
    for number in (1, 2):
        shutil.copy(folder / CHARTS, folder / "icu" / f"chartevents_{number}.csv")
    (folder / CHARTS).unlink()
    assert_parts_are_named(folder, "chartevents_1.csv, icu/chartevents_2.csv")


@pytest.mark.parametrize("name", ["CHARTEVENTS_2", "chartevents (1)", "Kopie von chartevents"])
def test_a_copy_of_a_folder_of_parquet_is_refused(name: str, folder: Path) -> None:
    to_parquet(folder, "icu/chartevents/0.parquet")
    (folder / CHARTS).unlink()
    (folder / "icu" / name).mkdir()
    assert_golden("mimic4", collect(mimic4.read(folder, 48, MEASUREMENTS)))  # it holds no table
    shutil.copy(folder / "icu/chartevents/0.parquet", folder / "icu" / name)
    assert_parts_are_named(folder, name)


def assert_parts_are_named(folder: Path, names: str) -> None:
    with pytest.raises(InputError, match=r"looks? like a part or a copy of CHARTEVENTS") as error:
        collect(mimic4.read(folder, 48, MEASUREMENTS))
    assert f"icu/{names} look" in str(error.value)
    assert "\n" not in str(error.value)


def test_other_tables_are_no_parts(folder: Path) -> None:
    for name in (
        *("d_chartevents.csv", "labeventsummary.csv", "patients.txt", "icustays_info.pdf"),
        *("datetimeevents.csv", "d_labitems.csv.gz", "chartevents.csv.gz.md5", "._chartevents.csv"),
    ):
        (folder / "icu" / name).write_text("note\n")
    assert_golden("mimic4", collect(mimic4.read(folder, 48, MEASUREMENTS)))


# All tables of eICU 2.0.
EICU = (
    *("admissionDrug", "admissionDx", "allergy", "apacheApsVar", "apachePatientResult"),
    *("apachePredVar", "carePlanCareProvider", "carePlanEOL", "carePlanGeneral", "carePlanGoal"),
    *("carePlanInfectiousDisease", "customLab", "diagnosis", "hospital", "infusionDrug"),
    *("intakeOutput", "lab", "medication", "microLab", "note", "nurseAssessment", "nurseCare"),
    *("nurseCharting", "pastHistory", "patient", "physicalExam", "respiratoryCare"),
    *("respiratoryCharting", "treatment", "vitalAperiodic", "vitalPeriodic"),
)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_the_other_tables_of_eicu_are_no_parts(suffix: str, tmp_path: Path) -> None:
    for name in EICU:
        (tmp_path / (name + suffix)).touch()
    for name in eicu.tables(choose(SETS["extended"], "eicu")):
        assert find_file(tmp_path, name).name.lower() == name + suffix
    for name in ("Kopie von lab.csv", "lab - Copy.csv", "Copy of Lab.csv", "LAB_2.csv"):
        (tmp_path / name).touch()
        with pytest.raises(InputError, match="looks like a part or a copy of LAB: ") as error:
            find_file(tmp_path, "lab")
        assert f"{tmp_path}: {name} looks" in str(error.value)
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    "name",
    [
        *("0 (copy).parquet", "0 (1).parquet", "0 - Copy.parquet", "Copy of 0.parquet"),
        *("0 copy.parquet", "0 copy 2.parquet", "0 (3rd copy).parquet", "0_copy.parquet"),
        *("Kopie von 0.parquet", "0 - Kopie (2).parquet", "0 - Copie.parquet"),
    ],
)
def test_a_copy_in_a_folder_of_parquet_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    to_parquet(folder, "icu/chartevents/0.parquet")
    (folder / CHARTS).unlink()
    parts = folder / "icu" / "chartevents"
    shutil.copy(parts / "0.parquet", parts / name)
    with pytest.raises(InputError, match=r"looks like a copy of 0\.parquet: take it out"):
        collect(mimic4.read(folder, 48, MEASUREMENTS))
    (parts / "0.parquet").unlink()  # alone it is no copy
    assert_golden("mimic4", collect(mimic4.read(folder, 48, MEASUREMENTS)))

    data = write_meds(tmp_path / "meds") / "data" / "train"
    shutil.copy(data / "0.parquet", data / name)
    with pytest.raises(InputError, match=r"looks like a copy of 0\.parquet: take it out"):
        meds.read(tmp_path / "meds", 48, MEASUREMENTS, CODE_MAP)
