"""The code map of OpenICU: its concepts, and the marks of its extraction step."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from golden import CODE_MAP, collect

from icu_adversarial.extract.sources import meds
from icu_adversarial.extract.sources.code_map import read_code_map
from icu_adversarial.measurements import SETS, choose

MAP = CODE_MAP.with_name("openicu.csv")
# Where OpenICU writes the marks of a subject with one stay, their times and codes.
MARKS = {
    "admissions/HOSPITAL_ADMISSION": ("2160-03-01 08:00", "HOSPITAL_ADMISSION//EW EMER.//CLINIC"),
    "admissions/HOSPITAL_DISCHARGE": ("2160-03-05 08:00", "HOSPITAL_DISCHARGE"),
    "icustay/icu_admission": ("2160-03-01 10:00", "icu_admission//ICU_ADMISSION"),
    "icustay/icu_discharge": ("2160-03-04 10:00", "icu_discharge//ICU_DISCHARGE"),
    "patients/MEDS_BIRTH": ("2100-01-01 00:00", "MEDS_BIRTH"),
    "patients/GENDER": ("2100-01-01 00:00", "GENDER//F"),
}
CONCEPTS = {
    "heart_rate": ("heart_rate//bpm", 80),
    "pH_of_blood": ("pH_of_blood//None", 7.35),
    "temperature": ("temperature//C", 37.1),
    "oxygen_saturation": ("oxygen_saturation//%", 97),
    "urine_output": ("urine_output//mL", 120),
    "patient_height": ("patient_height//cm", 65),  # in inches: out
    "C_reactive_protein": ("C_reactive_protein//mg/L", 12),  # no measurement here
}


def write(file: Path, time: str, code: str, value: float | None, **extension: object) -> None:
    """One event, as OpenICU stores it."""
    event = {"subject_id": 1, "time": pd.Timestamp(time), "code": code, "numeric_value": value}
    table = pa.Table.from_pylist([event | {"text_value": None} | extension])
    place = table.schema.get_field_index("numeric_value")
    values = table["numeric_value"].cast(pa.float32())
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.set_column(place, "numeric_value", values), file)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder with links to the two data sets of a project, as docs/data-sources.md says."""
    project = tmp_path / "project" / "datasets"
    marks = project / "extraction" / "data" / "mimic-iv" / "3.1"
    for name, (time, code) in MARKS.items():
        hadm = {} if name.startswith("patients") else {"hadm_id": 20}
        write(marks / f"{name}.parquet", time, code, None, **hadm)
    for name, (code, value) in CONCEPTS.items():
        file = project / "concept" / "data" / name / "1.0.0" / "mimic-iv.parquet"
        write(file, "2160-03-01 11:30", code, value, dataset="mimic-iv", table="chartevents")
    data = tmp_path / "openicu" / "data"
    data.mkdir(parents=True)
    (data / "concept").symlink_to(project / "concept" / "data")
    for name in ("admissions", "icustay", "patients"):
        (data / name).symlink_to(marks / name)
    return data.parent


def test_concepts_and_marks_are_read(raw: Path) -> None:
    records = meds.read(raw, 48, choose(SETS["extended"], "meds"), MAP)
    stays, events = collect(records)
    (stay,) = stays.itertuples()
    assert (stay.hadm_id, stay.sex, stay.admit_hour, stay.out_hour) == (20, "F", -2, 72)
    assert stay.discharge_hour == 94
    assert not stay.died
    assert pd.isna(stay.icu_type)
    found = {row.measurement: (row.hour, pytest.approx(row.value)) for row in events.itertuples()}
    assert found == {
        "heartrate": (1.5, 80),
        "ph": (1.5, 7.35),
        "spo2": (1.5, 97),
        "tempc": (1.5, 37.1),
        "urine": (1.5, 120),
    }
    assert records.account.of("events", "height", "implausible") == 1


def test_every_measurement_but_two_has_a_concept() -> None:
    """And each of them one alone, so that nothing is read twice."""
    names = SETS["extended"]
    found = [m.stands_for for m in read_code_map(MAP, names) if m.stands_for in names]
    assert sorted(found) == sorted(set(names) - {"cholesterol", "mechvent"})
