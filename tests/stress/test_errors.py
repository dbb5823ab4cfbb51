"""Everyday errors: known answers, and flips that recur after the raw files are edited."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from literature_set import NAMES
from raw_edits import edit_challenge
from stress_world import N, linear, make_question

from icu_adversarial.core.schemas import EVENTS
from icu_adversarial.extract.sources import challenge2012
from icu_adversarial.features.grid import grids
from icu_adversarial.measurements import DICTIONARY, SETS, choose
from icu_adversarial.model.calibration import Calibration
from icu_adversarial.records.recorded import Edits, records_of
from icu_adversarial.stress.catalogue import ERRORS
from icu_adversarial.stress.errors import answers, every_error
from icu_adversarial.stress.models import RiskModel
from icu_adversarial.stress.tables import Resamples, by_error, by_threshold, expected

MODEL = RiskModel("linear", linear, Calibration(1.0, 0.0), 0.0)


def asked() -> tuple[pd.DataFrame, np.ndarray]:
    """Every error on the records of `make_question`, with the answers; and the risk before."""
    question = make_question()
    edits, table = every_error(question.records)
    found = answers({"m": MODEL}, question.records, question.grid, question.stays, edits)
    before = linear(question.grid, question.stays)
    risk = 1 / (1 + np.exp(-before))
    return table.assign(
        after=found["m"] > 0,
        before=(before > 0)[table["stay"]],
        z=found["m"],
        risk_before=risk[table["stay"]],
        risk_after=1 / (1 + np.exp(-found["m"])),
    ), before


def test_on_a_linear_model_the_answers_are_the_closed_form() -> None:
    table, before = asked()
    question = make_question()
    for error, factor in (("times_ten", 10), ("divided_by_ten", 0.1), ("missing", None)):
        part = table[table["error"] == error]
        assert len(part) == len(question.records.value)
        for row in part.itertuples():
            name = NAMES[row.measurement]
            weight = linear(_cell(row.measurement, 1.0), question.stays[:1])
            weight -= linear(_cell(row.measurement, 0.0), question.stays[:1])
            zero = linear(_cell(row.measurement, 0.0), question.stays[:1])
            here = zero + weight * row.recorded
            written = None if factor is None else row.recorded * factor
            if written is not None and not _counts(name, written):
                assert row.caught
                written = None
            there = 0 if written is None else zero + weight * written
            np.testing.assert_allclose(row.z, before[row.stay] - here + there, atol=1e-3)


def _cell(column: int, value: float) -> np.ndarray:
    grid = np.full((1, 1, len(NAMES)), np.nan, np.float32)
    grid[0, 0, column] = value
    return grid


def _counts(name: str, value: float) -> bool:
    limits = DICTIONARY[name].limits
    at_end = value == limits.highest and limits.highest_counts
    return limits.above < value < limits.highest or at_end


def test_the_tables_are_sums_over_the_edits() -> None:
    table, _ = asked()
    resamples = Resamples(np.arange(N), 100, 0)
    errors = by_error(table, "linear", N, resamples).set_index("error")
    free = table[~table["caught"]]
    for name, error in ERRORS.items():
        part = free[free["error"] == name]
        if not len(part):
            continue
        flips = (part["before"] != part["after"]).groupby(part["stay"]).mean()
        row = errors.loc[error.about]
        np.testing.assert_allclose(row["per_1000"], 1000 * flips.mean())
        np.testing.assert_allclose(row["lost"] + row["false"], row["per_1000"])
        assert row["low"] <= row["per_1000"] <= row["high"]
    assert errors["per_1000"].max() > 0
    flipped = free[free["before"] != free["after"]]
    total = 1000 * flipped["weight"].fillna(0).sum() / N
    np.testing.assert_allclose(expected(table, N, resamples)["value"], total)
    curve = by_threshold(table, "linear", N)
    assert (curve["per_1000"] >= 0).all()
    assert curve["per_1000"].max() > 0


def test_a_value_in_swapped_digits_and_a_copied_value() -> None:
    table, _ = asked()
    swapped = table[table["error"] == "digits_swapped"]
    for row in swapped.head(200).itertuples():
        left, right = f"{row.recorded:.4g}", f"{row.written:.6g}"
        assert sorted(left.replace("0", "").replace(".", "")) == sorted(
            right.replace("0", "").replace(".", "")
        )
        assert float(left) != float(right)
    records = make_question().records
    for row in table[table["error"] == "copied"].itertuples():
        same = (records.stay == row.stay) & (records.measurement == row.measurement)
        assert row.written in records.value[same & (records.bin == row.bin - 1)]


def test_flips_recur_after_the_raw_files_are_edited(tmp_path: Path, challenge: Path) -> None:
    raw = tmp_path / "raw"
    shutil.unpack_archive(challenge / "set-a.tar.gz", tmp_path / "all")
    (raw / "set-a").mkdir(parents=True)
    for file in sorted((tmp_path / "all").rglob("*.txt"))[:60]:
        shutil.copy(file, raw / "set-a")
    kept = {int(file.stem) for file in (raw / "set-a").iterdir()}
    outcomes = pd.read_csv(challenge / "Outcomes-a.txt")
    outcomes[outcomes["RecordID"].isin(kept)].to_csv(raw / "Outcomes-a.txt", index=False)
    measurements = choose(SETS["literature"])

    def read() -> tuple[pd.DataFrame, list, np.ndarray]:
        stays, events, *_ = challenge2012.read(raw, 48, measurements)
        batches = [batch.cast(EVENTS) for batch in events]
        parts = grids(batches, stays["stay_id"].to_numpy(), range(48), NAMES)
        return stays, batches, np.concatenate([part for _, part in parts])

    stays, batches, grid = read()
    records = records_of(batches, stays["stay_id"].to_numpy(), range(48), NAMES)
    center = np.median(linear(grid, stays))
    model = MODEL._replace(raw=lambda grid, stays: linear(grid, stays) - center)
    wanted = ("times_ten", "divided_by_ten", "digits_swapped", "unit_mistaken")
    edits, table = every_error(records, wanted)
    after = answers({"m": model}, records, grid, stays, edits)["m"] > 0
    before = (model.log_odds(grid, stays) > 0)[table["stay"]]
    flips = table[(before != after) & ~table["caught"]]
    # one flip of each stay, so that all of them can be in the files at once
    flips = flips.sample(frac=1, random_state=0).drop_duplicates("stay").head(50)
    assert len(flips) >= 40
    listed = pd.DataFrame(
        {
            "stay_id": stays["stay_id"].to_numpy()[flips["stay"]],
            "hour": records.hour[flips["event"]],
            "measurement": np.array(NAMES)[flips["measurement"]],
            "recorded": flips["recorded"],
            "edited": flips["written"],
        }
    )
    assert edit_challenge(raw, listed) == len(listed)
    _, _, edited = read()
    then = model.log_odds(edited, stays) > 0
    assert (then[flips["stay"]] == after[flips.index]).all()


def test_the_order_of_the_stays_changes_nothing() -> None:
    table, _ = asked()
    question = make_question()
    order = np.random.default_rng(0).permutation(len(table))
    edits, _ = every_error(question.records)
    mixed = Edits(edits.stay[order], *_rows(edits, order))
    found = answers({"m": MODEL}, question.records, question.grid, question.stays, mixed)
    np.testing.assert_array_equal(found["m"], table["z"].to_numpy()[order])


def _rows(edits: Edits, order: np.ndarray) -> list[np.ndarray]:
    """The changed values of the edits in another order."""
    frame = pd.DataFrame(
        {"number": np.argsort(order)[edits.number], "row": range(len(edits.event))}
    )
    frame = frame.sort_values("number", kind="stable")
    rows = frame["row"].to_numpy()
    return [frame["number"].to_numpy(), edits.event[rows], edits.hour[rows], edits.value[rows]]
