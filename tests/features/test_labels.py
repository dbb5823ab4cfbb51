"""What is predicted of a stay: every outcome by hand, for every source, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from feature_tables import NAN, make_stays
from golden import CODE_MAP, DATA, collect, write_meds
from literature_set import MEASUREMENTS
from raw_tables import write_challenge, write_golden

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.outcomes import Outcome
from icu_adversarial.extract.registry import read
from icu_adversarial.features.labels import labels

HOSPITAL, ICU = Outcome("hospital_death"), Outcome("icu_death")
MONTH, LONG = Outcome("death_within_days", 30), Outcome("icu_stay_longer_than_days", 3)


def found(stays: pd.DataFrame, outcome: Outcome, source: str = "mimiciii") -> list[bool | None]:
    return [None if pd.isna(label) else bool(label) for label in labels(stays, outcome, source)]


def test_deaths_in_the_hospital_and_in_the_icu_are_those_of_the_source() -> None:
    stays = make_stays(died=[True, True, False, None], icu_died=[True, None, False, False])
    assert found(stays, HOSPITAL) == [True, True, False, None]
    assert found(stays, ICU) == [True, None, False, False]


def test_death_within_days_counts_days_of_the_calendar() -> None:
    """A recorded death decides. Without one, the patient must be followed for so many days."""
    stays = make_stays(
        died=[True, *[False] * 7],
        death_day=[2, 29, 30, 31, 400, NAN, NAN, NAN],
        followed_days=[NAN, 90, 90, 90, 90, 30, 29, NAN],
    )
    stays = pd.concat([stays, *[make_stays(died=[False])] * 4], ignore_index=True)
    expected = [True, True, True, False, False, False, None, None, *[False] * 4]
    assert found(stays, MONTH) == expected


def test_a_short_stay_counts_only_if_the_patient_left_the_icu_alive() -> None:
    """A patient who dies in the ICU within N days might have stayed for longer."""
    stays = make_stays(
        died=[False, False, False, True, True, True, True],
        out_hour=[71.0, 72.0, 72.1, 60.0, 72.1, 60.0, NAN],
        icu_died=[False, False, False, True, True, None, False],
    )
    assert found(stays, LONG) == [False, False, True, None, True, None, None]


@pytest.mark.parametrize("outcome", [ICU, MONTH, LONG])
def test_an_outcome_that_a_source_does_not_know_is_told_in_one_line(outcome: Outcome) -> None:
    stays = make_stays(
        died=[True, False],
        icu_died=[None, None],
        out_hour=[NAN, NAN],
        death_day=[5, NAN],
        followed_days=[NAN, NAN],
    )
    with pytest.raises(InputError, match=f"^outcome: {outcome.phrase}: eICU-CRD does not know it"):
        labels(stays, outcome, "eicu")


def test_more_days_than_a_source_follows_its_patients_are_refused() -> None:
    stays = make_stays(died=[False] * 5, followed_days=[90] * 5)
    assert found(stays, Outcome("death_within_days", 90)) == [False] * 5
    with pytest.raises(InputError, match="death within 91 days: MIMIC-III does not know it"):
        labels(stays, Outcome("death_within_days", 91), "mimiciii")


# Of each source: its golden tables (tests/data, tests/raw_tables.py), and the labels of its stays in
# the order of their ids. None in place of a list: the source does not know the outcome.
GOLDEN: dict[str, tuple[Callable[[Path], Path], dict[Outcome, list[bool | None] | None]]] = {
    "mimiciii": (
        write_golden,
        {
            HOSPITAL: [False, True, False],
            ICU: [False, True, False],
            MONTH: [False, True, False],
            LONG: [False, None, None],
        },
    ),
    "mimiciv": (
        lambda _: DATA / "mimic4",
        {
            HOSPITAL: [False, False, True, False],
            ICU: [False, False, True, False],
            MONTH: [False, False, True, False],
            LONG: [False, False, True, None],
        },
    ),
    "eicu": (
        lambda _: DATA / "eicu",
        {
            HOSPITAL: [False, False, True, None, False],
            ICU: [False, False, False, None, False],
            MONTH: None,
            LONG: [False, False, False, None, False],
        },
    ),
    "challenge2012": (
        write_challenge,
        {HOSPITAL: [True, False, True], ICU: None, MONTH: [True, False, True], LONG: None},
    ),
    "meds": (
        write_meds,
        {
            HOSPITAL: [False, False, True, None, False, False],
            ICU: [False, False, True, None, False, False],
            MONTH: [True, True, True, None, False, False],
            LONG: [False, False, True, None, False, False],
        },
    ),
}


@pytest.mark.parametrize("outcome", [HOSPITAL, ICU, MONTH, LONG], ids=lambda outcome: outcome.name)
@pytest.mark.parametrize("source", GOLDEN)
def test_golden_labels(source: str, outcome: Outcome, tmp_path: Path) -> None:
    write, expected = GOLDEN[source]
    records = read(source, write(tmp_path / "raw"), 48, MEASUREMENTS, CODE_MAP)
    stays, _ = collect(records)
    if expected[outcome] is None:
        with pytest.raises(InputError, match="does not know it for most stays"):
            labels(stays, outcome, source)
    else:
        assert found(stays, outcome, source) == expected[outcome]
        assert found(records.stays, outcome, source) == expected[outcome]  # before it was stored
