"""Every outcome from the raw tables of the synthetic hospital to the cohort."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_array
from icu_adversarial.core.outcomes import Outcome, outcome_of
from icu_adversarial.core.schemas import COHORT, read_table
from icu_adversarial.stages import extract, preprocess, synthesize

STAYS = 500


@pytest.fixture(scope="module")
def settings(params: Params) -> Params:
    """One measurement of a small hospital."""
    return params.model_copy(
        update={
            "measurements": ("heartrate",),
            "synthesize": params.synthesize.model_copy(update={"stays": STAYS}),
        }
    )


@pytest.fixture(scope="module")
def hospital(settings: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/raw and data/extract."""
    folder = tmp_path_factory.mktemp("hospital")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        synthesize.run(settings)
        extract.run(settings)
    return folder


@pytest.fixture
def run(
    settings: Params, hospital: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pd.DataFrame]:
    """The cohort of an outcome, by the stage preprocess."""
    monkeypatch.chdir(hospital)

    def cohort(setting: object, **changes: object) -> pd.DataFrame:
        options = settings.preprocess.model_copy(update=changes)
        new = {"outcome": outcome_of(setting), "preprocess": options}
        preprocess.run(settings.model_copy(update=new))
        return read_table(paths.COHORT, COHORT).set_index("stay_id")

    return cohort


def raw() -> pd.DataFrame:
    """The ICU stays with their admissions and patients, by stay."""
    of = {
        name: pd.read_parquet(next(paths.SYNTHETIC.glob(f"{name}*")))
        for name in ("ICUSTAYS", "ADMISSIONS", "PATIENTS")
    }
    keys = ["subject_id", "hadm_id"]
    found = of["ICUSTAYS"].merge(of["ADMISSIONS"], on=keys, suffixes=("", "_a"))
    found = found.merge(of["PATIENTS"], on="subject_id", suffixes=("", "_p"))
    return found.set_index("icustay_id")


def flow() -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads(
        Path("metrics/preprocess/metrics.json").read_text()
    )["flow"]
    return found


def test_the_labels_are_those_of_the_raw_tables(run: Callable[..., pd.DataFrame]) -> None:
    hospital = run("hospital_death")
    of = raw()
    of["dead"] = of["hospital_expire_flag"] == 1
    of["in_icu"] = of["dead"] & (of["deathtime"] <= of["outtime"])
    of["hours"] = (of["outtime"] - of["intime"]).dt.total_seconds() / 3600
    of["day"] = (of["dod"].dt.normalize() - of["intime"].dt.normalize()).dt.days
    of["unknown"] = of["in_icu"] & (of["hours"] <= 7 * 24)
    assert hospital["died"].equals(of["dead"].loc[hospital.index].rename("died"))
    grid = read_array(paths.GRID)
    assert list(flow())[2] == "outcome known"

    for setting, column in (("icu_death", "in_icu"), ({"death_within_days": 30}, "month")):
        of["month"] = of["day"] <= 30
        cohort = run(setting)
        assert cohort.index.equals(hospital.index)
        assert cohort["died"].equals(of[column].loc[cohort.index].rename("died")), column
        assert (read_array(paths.GRID) == grid)[grid == grid].all()  # the same stays and window
        assert not cohort["died"].equals(hospital["died"])

    cohort = run({"icu_stay_longer_than_days": 7})
    assert cohort.index.equals(hospital.index[~of["unknown"].loc[hospital.index]])
    assert cohort["died"].equals((of["hours"] > 7 * 24).loc[cohort.index].rename("died"))
    left_out = flow()["outcome known: ICU stay of more than 7 days"]["excluded"]
    assert left_out == of["unknown"].sum() > 0
    rule = flow()["observed cells ≥ 1"]
    assert (rule["stays"], rule["deaths"]) == (len(cohort), cohort["died"].sum())


@pytest.mark.parametrize("setting", ["icu_death", {"icu_stay_longer_than_days": 4}])
def test_the_window_and_the_gap_keep_their_meaning(
    setting: object, run: Callable[..., pd.DataFrame]
) -> None:
    """Whatever is predicted, the patient is alive and in the ICU until it may occur."""
    cohort = run(setting, gap_hours=24)
    of = raw().loc[cohort.index]
    hours = (of["outtime"] - of["intime"]).dt.total_seconds() / 3600
    assert hours.min() >= 72
    dead = (of["deathtime"] - of["intime"]).dt.total_seconds().dropna() / 3600
    assert dead.min() >= 72
    assert 0 < cohort["died"].sum() < len(cohort)


def test_more_days_than_the_hospital_follows_its_patients(
    run: Callable[..., pd.DataFrame],
) -> None:
    cohort = paths.COHORT
    before = cohort.read_bytes() if cohort.exists() else None
    with pytest.raises(InputError, match=r"synthetic hospital .* does not know it for most stays"):
        run({"death_within_days": 365})
    assert before is None or cohort.read_bytes() == before


@pytest.mark.parametrize("days", [1, 2, 3])
def test_days_that_end_within_the_window_and_gap_are_refused(params: Params, days: int) -> None:
    changed = params.model_dump() | {"outcome": {"death_within_days": days}}
    changed["preprocess"]["gap_hours"] = 24
    with pytest.raises(ValueError, match=r"must be more than window_hours \+ preprocess.gap_hours"):
        Params.model_validate(changed)
    changed["outcome"] = {"death_within_days": 4}
    assert Params.model_validate(changed).outcome == Outcome("death_within_days", 4)


@pytest.mark.parametrize(
    "setting",
    [
        "death",
        "death_within_days",
        {"icu_death": 3},
        {"death_within_days": 0},
        {"death_within_days": 1.5},
        {"death_within_days": True},
        {"death_within_days": 30, "icu_stay_longer_than_days": 7},
        {},
        None,
    ],
)
def test_what_is_no_outcome_is_refused(params: Params, setting: object) -> None:
    with pytest.raises(ValueError, match="it must be hospital_death, icu_death, or one of"):
        Params.model_validate(params.model_dump() | {"outcome": setting})
