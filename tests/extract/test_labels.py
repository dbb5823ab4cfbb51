"""Golden examples of every rule of label, death and exclusion, for MIMIC-III and MIMIC-IV."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from golden import collect
from literature_set import MEASUREMENTS

from icu_adversarial.extract.records import Records
from icu_adversarial.extract.sources import mimic3, mimic4

READERS = {"mimiciii": mimic3, "mimiciv": mimic4}
NAN = float("nan")


class Case(NamedTuple):
    """An ICU stay from 10:00 on the 2nd to the 5th of March, one subject each, and what it gives."""

    admission: dict[str, str]
    died: bool | None
    death_hour: float
    icu_died: bool | None
    death_day: float
    discharge_hour: float = 192.0
    followed: bool = True


# 10:00 on the 10th is hour 192.
USUAL = {
    "admittime": "2100-03-02 08:00:00",
    "dischtime": "2100-03-10 10:00:00",
    "deathtime": "",
    "flag": "0",
    "dod": "",
}
LABELS = {
    "survivor": Case({}, False, NAN, False, NAN),
    "death in the hospital": Case(
        {"flag": "1", "deathtime": "2100-03-10 09:30:00"}, True, 191.5, False, 8
    ),
    "death without a time": Case({"flag": "1"}, True, NAN, None, 8),
    # known to the day: at the discharge of that day
    "death at midnight, discharge that day": Case(
        {"flag": "1", "deathtime": "2100-03-10 00:00:00"}, True, 192.0, False, 8
    ),
    # known to the day, and so is the discharge: at the day's end
    "death and discharge at midnight": Case(
        {"flag": "1", "deathtime": "2100-03-10 00:00:00", "dischtime": "2100-03-10 00:00:00"},
        True,
        206.0,
        False,
        8,
        182.0,
    ),
    # the day of ICU admission: not before it
    "death on the day of ICU admission": Case(
        {"flag": "1", "deathtime": "2100-03-02 00:00:00"}, True, 14.0, True, 0
    ),
    "death after the discharge": Case({"deathtime": "2100-03-11 10:00:00"}, False, 216.0, False, 9),
    # the flag says dead in the hospital, the time says two days after it or later
    "death in the hospital long after the discharge": Case(
        {"flag": "1", "deathtime": "2100-04-10 09:00:00"}, None, 935.0, None, NAN, followed=False
    ),
    "death in the hospital soon after the discharge": Case(
        {"flag": "1", "deathtime": "2100-03-10 11:00:00"}, True, 193.0, False, 8
    ),
    # the flag says alive, the time says dead
    "contradiction": Case(
        {"deathtime": "2100-03-10 09:00:00"}, None, 191.0, None, NAN, followed=False
    ),
    "death before ICU admission": Case(
        {"flag": "1", "deathtime": "2100-03-02 09:00:00"}, True, -1.0, True, 0
    ),
    "death in the ICU": Case(
        {"flag": "1", "deathtime": "2100-03-05 09:00:00", "dischtime": "2100-03-05 09:30:00"},
        *(True, 71.0, True, 3),
        discharge_hour=71.5,
    ),
    "discharge of the dead from the ICU, with a later time of death": Case(
        {"flag": "1", "deathtime": "2100-03-06 07:00:00", "dischtime": "2100-03-05 10:00:00"},
        *(True, 93.0, True, 4),
        discharge_hour=72.0,
    ),
    # at any time of the day when the ICU stay ends
    "death known to the day when the ICU stay ends": Case(
        {"flag": "1", "deathtime": "2100-03-05 00:00:00", "dischtime": "2100-03-05 18:00:00"},
        *(True, 80.0, None, 3),
        discharge_hour=80.0,
    ),
    "death at home": Case({"dod": "2100-04-01 00:00:00"}, False, NAN, False, 30),
    "death at home on the day of discharge": Case(
        {"dod": "2100-03-10 00:00:00"}, False, NAN, False, 8
    ),
    "discharge alive on a later day than the death": Case(
        {"dod": "2100-03-09 00:00:00"}, False, NAN, False, NAN, followed=False
    ),
    "another day of death in PATIENTS than in ADMISSIONS": Case(
        {"flag": "1", "deathtime": "2100-03-10 09:30:00", "dod": "2100-03-12 00:00:00"},
        *(True, 191.5, False, 8),
    ),
}


def write(folder: Path, source: str, admissions: pd.DataFrame, stays: pd.DataFrame) -> Path:
    """Raw tables of a source with one subject per subject_id in `stays`, and no events."""
    subjects = pd.DataFrame({"subject_id": sorted(set(stays["subject_id"]) - {0})}).assign(
        gender="F", dob="2040-01-01 00:00:00", anchor_age=60, anchor_year=2100
    )
    dod = admissions.groupby("subject_id")["dod"].max()
    subjects["dod"] = subjects["subject_id"].map(dod).fillna("")
    charted = "subject_id,hadm_id,itemid,charttime,valuenum,valueuom,icustay_id,stay_id,error\n"
    tables = {
        "patients": subjects.assign(anchor_year_group="2011 - 2013").to_csv(index=False),
        "admissions": admissions.rename(columns={"flag": "hospital_expire_flag"}).to_csv(
            index=False
        ),
        "icustays": stays.assign(
            icustay_id=stays["stay_id"], dbsource="metavision", first_careunit="MICU"
        ).to_csv(index=False),
        "chartevents": charted,
        "labevents": charted,
    }
    folder.mkdir()
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def icustays(subjects: list[int], **changes: list[object]) -> pd.DataFrame:
    """Stay n of the given subject, of admission 100 + n."""
    numbers = list(range(1, len(subjects) + 1))
    return pd.DataFrame(
        {
            "subject_id": subjects,
            "hadm_id": [100 + n for n in numbers],
            "stay_id": numbers,
            "intime": "2100-03-02 10:00:00",
            "outtime": "2100-03-05 10:00:00",
        }
        | changes
    )


def records(
    folder: Path, source: str, admissions: list[dict[str, object]], stays: pd.DataFrame
) -> Records:
    write(folder, source, pd.DataFrame([USUAL | row for row in admissions]), stays)
    return READERS[source].read(folder, 48, MEASUREMENTS)


@pytest.mark.parametrize("source", READERS)
def test_every_rule_of_the_label_and_the_hour_of_death(source: str, tmp_path: Path) -> None:
    numbers = list(range(1, len(LABELS) + 1))
    admissions = [
        case.admission | {"subject_id": n, "hadm_id": 100 + n}
        for n, case in zip(numbers, LABELS.values(), strict=True)
    ]
    found, _ = collect(records(tmp_path / "raw", source, admissions, icustays(numbers)))
    for i, (name, case) in enumerate(LABELS.items()):
        died = found["died"][i]
        assert (None if pd.isna(died) else died) == case.died, name
        np.testing.assert_equal(float(found["death_hour"][i]), case.death_hour, name)
        assert found["discharge_hour"][i] == case.discharge_hour, name
        icu_died = found["icu_died"][i]
        assert (None if pd.isna(icu_died) else icu_died) == case.icu_died, name
        np.testing.assert_equal(float(found["death_day"][i]), case.death_day, name)
        last_day = (case.discharge_hour + 10) // 24  # the ICU stay begins at 10:00
        followed = 90 if source == "mimiciii" else last_day + 365
        np.testing.assert_equal(
            float(found["followed_days"][i]), followed if case.followed else NAN, name
        )


@pytest.mark.parametrize("source", READERS)
def test_a_copy_without_deaths_after_the_discharge_follows_nobody(
    source: str, tmp_path: Path
) -> None:
    """MIMIC-IV 1.0 has an empty column DOD."""
    admissions: list[dict[str, object]] = [
        {"subject_id": 1, "hadm_id": 101},
        {"subject_id": 2, "hadm_id": 102, "flag": "1", "deathtime": "2100-03-10 09:30:00"},
    ]
    found, _ = collect(records(tmp_path / "raw", source, admissions, icustays([1, 2])))
    assert found["followed_days"].isna().all()
    np.testing.assert_equal(found["death_day"].to_numpy(float), [NAN, 8])


@pytest.mark.parametrize("source", READERS)
def test_a_readmission_after_the_recorded_death(source: str, tmp_path: Path) -> None:
    """The first admission ends in death; a second one of the same subject begins weeks later."""
    dead = {"subject_id": 1, "flag": "1", "deathtime": "2100-03-10 09:30:00"}
    admissions = [
        dead | {"hadm_id": 101},
        {
            "subject_id": 1,
            "hadm_id": 102,
            "admittime": "2100-04-01 08:00:00",
            "dischtime": "2100-04-11 10:00:00",
        },
    ]
    stays = icustays(
        [1, 1],
        intime=["2100-03-02 10:00:00", "2100-04-01 09:30:00"],
        outtime=["2100-03-05 10:00:00", "2100-04-05 10:00:00"],
    )
    found, _ = collect(records(tmp_path / "raw", source, admissions, stays))
    assert found["death_hour"].tolist() == [191.5, -22 * 24.0]
    assert found["died"].tolist() == [True, False]


@pytest.mark.parametrize("source", READERS)
def test_stays_that_fit_no_patient_or_admission_are_left_out_and_counted(
    source: str, tmp_path: Path
) -> None:
    admissions: list[dict[str, object]] = [
        {"subject_id": 1, "hadm_id": 101},
        {"subject_id": 8, "hadm_id": 103},  # another subject's
        {"subject_id": 4, "hadm_id": 104},
        {"subject_id": 5, "hadm_id": 105, "admittime": "2100-03-07 08:00:00"},
        {"subject_id": 0, "hadm_id": 106},
        {"subject_id": 1, "hadm_id": 107},
    ]
    stays = icustays(
        [1, 2, 3, 4, 5, 0, 1],
        intime=[
            "2100-03-02 10:00:00",
            "2100-03-02 10:00:00",
            "2100-03-02 10:00:00",
            "",  # not dated
            "2100-03-02 10:00:00",  # its admission begins after it has ended
            "2100-03-02 10:00:00",  # not in PATIENTS
            "2100-03-04 10:00:00",
        ],
    )
    found = records(tmp_path / "raw", source, admissions, stays)
    assert found.stays["stay_id"].tolist() == [1, 7]
    assert found.excluded == {
        "admission and patient known": 2,
        "admission of the same patient and time": 2,
        "time of ICU admission known": 1,
    }


@pytest.mark.parametrize("source", READERS)
def test_a_stay_that_is_left_out_still_counts_as_the_first_of_its_subject(
    source: str, tmp_path: Path
) -> None:
    stays = icustays(
        [1, 1], intime=["2100-03-02 10:00:00", "2100-03-04 10:00:00"], hadm_id=[999, 102]
    )
    found = records(tmp_path / "raw", source, [{"subject_id": 1, "hadm_id": 102}], stays)
    assert found.stays["stay_id"].tolist() == [2]
    assert found.stays["subject_order"].tolist() == [2]
    assert found.excluded == {"admission and patient known": 1}
