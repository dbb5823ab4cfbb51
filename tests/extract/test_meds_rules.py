"""Which marks of MEDS belong to which stay, and what follows: against a slow reading of the rules.

Random records of many subjects, with marks that are missing, out of order, at one time, or known to
the day alone. The reference is plain Python, one subject after the other.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from golden import CODE_MAP, collect
from literature_set import MEASUREMENTS

from icu_adversarial.extract.sources import meds

CODES = {
    "entry": "HOSPITAL_ADMISSION//X",
    "icu": "ICU_ADMISSION//X",
    "out": "ICU_DISCHARGE//X",
    "home": "HOSPITAL_DISCHARGE//HOME",
    "dead": "HOSPITAL_DISCHARGE//DIED",
    "death": "MEDS_DEATH",
}
SUBJECTS = 400
START = datetime(2160, 3, 1)
Marks = dict[str, list[datetime]]


class Stay(NamedTuple):
    admission: int | None  # its place among those of the subject
    admit: float | None
    discharge: float | None
    out: float | None
    death: float | None
    died: bool | None


def last(time: datetime) -> datetime:
    """The last second at which a mark may have been."""
    return time + timedelta(seconds=86399) if (time.hour, time.minute) == (0, 0) else time


def stays(marks: Marks, coded: bool) -> list[Stay]:
    discharges = sorted({*marks["home"], *marks["dead"]}, key=lambda t: (last(t), t))
    deaths = sorted(marks["death"], key=lambda t: (last(t), t))
    found = []
    for i, start in enumerate(marks["icu"]):
        later_icu = marks["icu"][i + 1] if i + 1 < len(marks["icu"]) else datetime.max
        end = next((t for t in marks["out"] if start < t <= later_icu), None)
        entry = max((t for t in marks["entry"] if t <= (end or start)), default=None)
        before = [t for t in discharges if last(t) <= start]
        if entry and before and max(before) > entry:
            entry = None
        after = entry or end or start
        next_entry = next((t for t in marks["entry"] if t > after), datetime.max)
        ends = [t for t in [end] if t and t <= next_entry]
        ends += [later_icu] if later_icu < next_entry else []
        own = [t for t in discharges if last(t) > start and (entry or t) <= t <= next_entry]
        left = own[0] if own else None
        at = min(last(left), next_entry) if left else None
        death = deaths[0] if deaths and last(deaths[0]) >= start else None
        if left is None:
            died = None
        elif not coded:
            died = death is not None and death <= at
        elif any(t <= last(left) and last(t) >= left for t in marks["dead"]):
            died = True
        else:
            died = None if death and last(death) < left else False
        known = [*marks["death"], *(marks["dead"] if coded else [])]
        earlier = [last(t) for t in known if last(t) < start]
        when = min([at, *([last(death)] if death else [])]) if died else None
        when = min(earlier) if earlier else when

        def hour(time: datetime | None, start: datetime = start) -> float | None:
            return None if time is None else (time - start).total_seconds() / 3600

        number = None if entry is None else marks["entry"].index(entry)
        found.append(
            Stay(number, hour(entry), hour(at), hour(min(ends, default=None)), hour(when), died)
        )
    return found


@pytest.fixture(scope="module")
def records() -> list[Marks]:
    generator = np.random.default_rng(7)
    subjects = []
    for _ in range(SUBJECTS):
        marks: Marks = {}
        for kind in CODES:
            days = generator.integers(0, 6, generator.integers(0, 4))
            if kind == "icu":
                days = np.append(days, 2)
            hours = generator.choice([0, 6, 12, 18], len(days))
            marks[kind] = sorted(
                {
                    START + timedelta(days=int(d), hours=int(h))
                    for d, h in zip(days, hours, strict=True)
                }
            )
        subjects.append(marks)
    return subjects


@pytest.mark.parametrize("coded", [True, False])
def test_stays_of_random_records(records: list[Marks], coded: bool, tmp_path: Path) -> None:
    rows = [
        (number, time, CODES[kind], np.nan)
        for number, marks in enumerate(records)
        for kind, times in marks.items()
        for time in times
    ]
    rows.append((0, START, "LAB//220045//bpm", 80.0))  # the data must have a measurement
    (tmp_path / "data").mkdir()
    table = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "data" / "0.parquet")
    code_map = tmp_path / "map.csv"
    lines = CODE_MAP.read_text().splitlines(True)
    code_map.write_text("".join(x for x in lines if coded or "hospital_death" not in x))
    found, _ = collect(meds.read(tmp_path, 48, MEASUREMENTS, code_map))

    expected, first = [], 1
    for number, marks in enumerate(records):
        for stay in stays(marks, coded):
            hadm = None if stay.admission is None else first + stay.admission
            expected.append((number, hadm, *stay[1:]))
        first += len(marks["entry"])
    assert found["subject_id"].tolist() == [stay[0] for stay in expected]
    columns = ["hadm_id", "admit_hour", "discharge_hour", "out_hour", "death_hour"]
    np.testing.assert_allclose(
        found[columns].astype(float).to_numpy(),
        np.array([stay[1:6] for stay in expected], float),
        rtol=1e-6,
    )
    died = [None if pd.isna(d) else bool(d) for d in found["died"]]
    assert died == [stay[6] for stay in expected]
    assert {True, False, None} == set(died)
    assert (found["death_hour"] < 0).any()
