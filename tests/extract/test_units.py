"""Two real sources, read by different readers from different raw tables, must speak of the same units."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from literature_set import MEASUREMENTS, NAMES

from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.sources import challenge2012, mimic3

IN_BOTH = [name for name in NAMES if name != "calcium"]  # the Challenge has none
# What another unit does to a value: conventional to SI, or the other way.
MISTAKES = {
    "pco2": lambda v: v / 7.5006,  # kPa
    "lactate": lambda v: v * 9.008,  # mg/dL
    "albumin": lambda v: v * 10,  # g/L
    "bun": lambda v: v / 2.801,  # mmol/L
    "creatinine": lambda v: v * 88.42,  # umol/L
    "platelet": lambda v: v * 1000,  # per uL
    "glucose": lambda v: v / 18.016,  # mmol/L
    "magnesium": lambda v: v / 2.43,  # mmol/L
    "sysbp": lambda v: v / 7.5006,  # kPa
    "tempc": lambda v: v * 1.8 + 32,  # Fahrenheit
    "spo2": lambda v: v / 100,  # a share
}
Values = dict[str, np.ndarray]


def values(records: Records) -> Values:
    events = pa.Table.from_batches(records.events, EVENTS).to_pandas()
    return {
        name: group["value"].to_numpy()
        for name, group in events.groupby("measurement", observed=True)
    }


@pytest.fixture(scope="module")
def of_mimic(mimic_demo: Path) -> Values:
    return values(mimic3.read(mimic_demo, 48, MEASUREMENTS))


@pytest.fixture(scope="module")
def of_challenge(challenge: Path, tmp_path_factory: pytest.TempPathFactory) -> Values:
    folder = tmp_path_factory.mktemp("set-a")
    for file in (*challenge.glob("set-a*"), challenge / "Outcomes-a.txt"):
        (folder / file.name).symlink_to(file)
    return values(challenge2012.read(folder, 48, MEASUREMENTS))


def same_unit(a: np.ndarray, b: np.ndarray) -> bool:
    """The median of each lies between the quartiles of the other."""
    return all(
        np.percentile(x, 25) <= np.median(y) <= np.percentile(x, 75) for x, y in ((a, b), (b, a))
    )


@pytest.mark.parametrize("name", IN_BOTH)
def test_distributions_overlap(of_mimic: Values, of_challenge: Values, name: str) -> None:
    assert same_unit(of_mimic[name], of_challenge[name])


@pytest.mark.parametrize("name", MISTAKES)
def test_another_unit_in_one_source_would_show(
    of_mimic: Values, of_challenge: Values, name: str
) -> None:
    assert not same_unit(MISTAKES[name](of_mimic[name]), of_challenge[name])
    assert not same_unit(of_mimic[name], MISTAKES[name](of_challenge[name]))


def test_free_calcium_of_mimic_is_in_mmol(of_mimic: Values) -> None:
    assert 1.0 < np.median(of_mimic["calcium"]) < 1.3
