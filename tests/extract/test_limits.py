"""Values that no patient can have do not count, and do not move the mean of their hour."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from literature_set import MEASUREMENTS, NAMES
from raw_tables import GOLDEN, HEAD, write_golden

from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.extract.sources import challenge2012, mimic3
from icu_adversarial.features.grid import grids

# The limits that the literature does not give: item of MIMIC, usual value, values within, beyond.
NEW = {
    "potassium": (50822, 4.0, (30.0,), (30.5, 999999.0)),
    "calcium": (50808, 1.2, (2.5,), (2.51, 4.6, 999999.0)),
    "ph": (50820, 7.3, (6.31, 8.5), (0.4, 6.3, 8.51, 95.0, 735.0, 999999.0)),
    "pco2": (50818, 40.0, (5.1, 250.0), (0.3, 5.0, 251.0, 999999.0)),
    "magnesium": (50960, 2.0, (20.0,), (20.5, 21.0, 999999.0)),
}


def hourly(stays: pd.DataFrame, events: pa.Table, name: str) -> list[float]:
    """Means of the hours of the first stay that have one."""
    ids = stays["stay_id"].to_numpy()
    _, grid = next(grids(events.to_batches(), ids, range(48), NAMES))
    means = grid[0, :, NAMES.index(name)]
    return means[means == means].tolist()


@pytest.mark.parametrize("name", NEW)
def test_an_impossible_value_does_not_move_the_mean_of_its_hour(name: str, tmp_path: Path) -> None:
    item, usual, within, beyond = NEW[name]

    def means(*values: float) -> list[float]:
        rows = "".join(
            f"{i},1,10,{item},2100-01-01 10:{i:02}:00,{v},{v},,\n" for i, v in enumerate(values)
        )
        table = GOLDEN["LABEVENTS"].partition("\n")[0] + "\n" + rows
        raw = write_golden(tmp_path / "raw", changes={"LABEVENTS": table})
        stays, events, *_ = mimic3.read(raw, 48, MEASUREMENTS)
        return hourly(stays, pa.Table.from_batches(events, EVENTS), name)

    assert means(usual) == [pytest.approx(usual)]
    for value in beyond:
        assert means(usual, value) == [pytest.approx(usual)], value
        assert means(value) == [], value
    for value in within:
        assert means(usual, value) == [pytest.approx((usual + value) / 2)], value


def test_ph_of_735_in_the_challenge(tmp_path: Path) -> None:
    (tmp_path / "set-a").mkdir()
    text = HEAD.format(id=7, age=54, sex=0, icu=4) + "10:05,pH,7.30\n10:40,pH,735\n"
    (tmp_path / "set-a" / "7.txt").write_text(text)
    (tmp_path / "Outcomes-a.txt").write_text(
        "RecordID,Length_of_stay,Survival,In-hospital_death\n7,5,-1,0\n"
    )
    stays, events, *_ = challenge2012.read(tmp_path, 48, MEASUREMENTS)
    found = hourly(stays, pa.Table.from_batches(events, EVENTS), "ph")
    assert found == [pytest.approx(7.3)]


def test_real_records_hold_no_such_value_after_reading(challenge: Path) -> None:
    _, events, *_ = challenge2012.read(challenge, 48, MEASUREMENTS)
    frame = pa.Table.from_batches(events, EVENTS).to_pandas()
    ph = frame.loc[frame["measurement"] == "ph", "value"]
    assert 6.3 < ph.min() < 6.9
    assert 7.6 < ph.max() <= 8.5


def test_every_measurement_has_limits_that_a_float_does_not_reach() -> None:
    for measurement in MEASUREMENTS:
        for rows in (*measurement.mimic, *measurement.eicu, *measurement.challenge2012):
            assert 0 <= rows.limits.above < rows.limits.highest <= 10_000, measurement.name
