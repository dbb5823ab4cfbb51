"""Two hospitals measure the same: with a wrong unit in the dictionary, their values would differ.

Every entry of the dictionary with rows of MIMIC is read alone from the demo. Its values are
compared with those of Challenge 2012. Where the Challenge has no such measurement, one charting
system of the demo is compared with the other one. The distance is that of Kolmogorov and Smirnov:
the largest difference between the shares of values up to a limit. It is 0 for the same
distribution, and 1 if no values overlap.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from golden import CODE_MAP
from scipy.stats import ks_2samp

from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.extract.registry import read
from icu_adversarial.measurements import SETS, Measurement, choose

NAMES = SETS["extended"]
NOT_IN_THE_CHALLENGE = {"calcium", "spo2", "gcs_eye", "gcs_verbal", "gcs_motor"}
FURTHEST = 0.4
# The demo's blood gases are from arteries and veins, those of the Challenge from arteries alone.
ALLOWED = {"sao2": 0.5}
# What a value is multiplied with if another unit is taken for that of the dictionary.
FACTORS = {
    "albumin": {"g/L": 10},
    "bilirubin": {"umol/L": 17.1},
    "bun": {"urea in mg/dL": 2.14, "urea in mmol/L": 0.357},
    "calcium": {"mg/dL": 4.008, "mEq/L": 2},
    "cholesterol": {"mmol/L": 0.02586},
    "creatinine": {"umol/L": 88.42, "mmol/L": 0.08842},
    "diasbp": {"kPa": 0.1333},
    "fio2": {"share": 0.01},
    "glucose": {"mmol/L": 0.05551},
    "haematocrit": {"share": 0.01},
    "height": {"inch": 0.3937, "inch twice": 2.54, "m": 0.01},
    "lactate": {"mg/dL": 9.008},
    "magnesium": {"mmol/L": 0.4114, "mEq/L": 0.8229},
    "map": {"kPa": 0.1333},
    "pao2": {"kPa": 0.1333},
    "pco2": {"kPa": 0.1333},
    "platelet": {"/uL": 1000},
    "sao2": {"share": 0.01},
    "spo2": {"share": 0.01},
    "sysbp": {"kPa": 0.1333},
    "troponin_i": {"ng/L": 1000},
    "troponin_t": {"ng/L": 1000},
    "urine": {"L": 0.001},
    "wbc": {"/uL": 1000},
    "weight": {"lb": 2.2046, "lb twice": 0.4536},
}
TEN = {"ten times too large": 10, "ten times too small": 0.1}

Pairs = dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]


def values(source: str, raw: Path, measurements: tuple[Measurement, ...]) -> pd.DataFrame:
    """The columns measurement, value and source_group of all events."""
    records = read(source, raw, 48, measurements, CODE_MAP)
    events = pa.Table.from_batches(records.events, EVENTS).to_pandas()
    group = records.stays.set_index("stay_id")["source_group"]
    return events.assign(
        measurement=events["measurement"].astype(str), source_group=events["stay_id"].map(group)
    )


@pytest.fixture(scope="module")
def pairs(mimic_demo: Path, challenge: Path, tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """For each measurement and each of its entries: values of MIMIC, and of another source."""
    set_a = tmp_path_factory.mktemp("set-a")
    for name in ("set-a.tar.gz", "Outcomes-a.txt"):
        (set_a / name).symlink_to(challenge / name)
    theirs = dict(
        iter(
            values("challenge2012", set_a, choose(NAMES, "challenge2012")).groupby("measurement")[
                "value"
            ]
        )
    )
    measurements = choose(NAMES, "mimiciii")
    found: Pairs = {}
    for entry in range(max(len(m.mimic) for m in measurements)):
        alone = tuple(
            m.model_copy(update={"mimic": (m.mimic[entry],), "sum_of": ()})
            for m in measurements
            if len(m.mimic) > entry
        )
        for name, own in values("mimiciii", mimic_demo, alone).groupby("measurement"):
            if name in theirs:
                found[name, entry] = own["value"].to_numpy(), theirs[name].to_numpy()
            else:
                of = {system: v.to_numpy() for system, v in own.groupby("source_group")["value"]}
                found[name, entry] = of["metavision"], of["carevue"]
    return found


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(ks_2samp(ours, theirs).statistic)


def test_every_entry_is_compared(pairs: Pairs) -> None:
    entries = {(m.name, i) for m in choose(NAMES, "mimiciii") for i in range(len(m.mimic))}
    assert set(pairs) == entries
    assert {
        m.name for m in choose(NAMES, "challenge2012") if not m.challenge2012
    } == NOT_IN_THE_CHALLENGE


def test_the_values_of_two_sources_overlap(pairs: Pairs) -> None:
    found = {key: distance(*pair) for key, pair in pairs.items()}
    assert {k: d for k, d in found.items() if d > ALLOWED.get(k[0], FURTHEST)} == {}
    assert found["heartrate", 0] < 0.05  # many values of both


def test_a_wrong_unit_is_found_in_every_entry(pairs: Pairs) -> None:
    missed = {
        (name, entry, mistake)
        for (name, entry), (ours, theirs) in pairs.items()
        if name != "mechvent"  # has no unit: each value is 1
        for mistake, factor in (TEN | FACTORS.get(name, {})).items()
        if distance(ours * factor, theirs) <= ALLOWED.get(name, FURTHEST)
    }
    assert missed == set()
    for entry in (0, 1):
        celsius, theirs = pairs["tempc", entry]
        for wrong in (celsius * 1.8 + 32, (celsius - 32) / 1.8):
            assert distance(wrong, theirs) > FURTHEST
