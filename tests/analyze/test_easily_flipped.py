"""Who is easily flipped, on attacks that were written by hand."""

import numpy as np
import pandas as pd
import pytest
from analysis_tables import Attack, Example, build

from icu_adversarial.analyze.easily_flipped import (
    ALL,
    FLIPPED,
    MEASURED,
    MEDIAN_CHANGED,
    MEDIAN_SIZE,
    RESULT,
    RISK,
    WITHIN_CHANGED,
    WITHIN_SIZE,
    easily_flipped,
)

RESAMPLES = 400


def attack_of(l0: list[int | None], first_stay: int = 1, direction: str = "0→1") -> list[Example]:
    """Stays with so many changed cells of size 0.25 in their best example. None: a failure."""
    return [
        (
            *(first_stay + place, first_stay + place, direction, "best"),
            None if cells is None else [(0, column, 0.25) for column in range(cells)],
        )
        for place, cells in enumerate(l0)
    ]


def table(attack: Attack, risk: float | None = 0.03, resamples: int = RESAMPLES) -> pd.DataFrame:
    stays = attack.cohort.stay_id
    risks = None if risk is None else pd.Series(risk, index=stays)
    measured = np.arange(len(stays))
    return easily_flipped(attack.examples, attack.cohort, risks, measured, resamples)


def one(found: pd.DataFrame, group: str, quantity: str, at: float | None = None) -> pd.Series:
    rows = found[(found.group == group) & (found["quantity"] == quantity)]
    (row,) = (rows if at is None else rows[rows["at"] == at]).itertuples()
    return row


def test_numbers_by_hand() -> None:
    """Six stays with 1, 1, 2, 3, 4 changed cells and a failure."""
    found = table(build(attack_of([1, 1, 2, 3, 4, None])))
    everyone = one(found, ALL, FLIPPED)
    assert (everyone.stays, everyone.patients) == (6, 6)
    assert everyone.value == pytest.approx(5 / 6)
    assert one(found, ALL, WITHIN_CHANGED, 1).value == pytest.approx(2 / 6)
    assert one(found, ALL, WITHIN_CHANGED, 3).value == pytest.approx(4 / 6)
    assert one(found, ALL, WITHIN_CHANGED, 100).value == pytest.approx(5 / 6)
    assert one(found, ALL, WITHIN_SIZE, 0.2).value == 0
    assert one(found, ALL, WITHIN_SIZE, 0.5).value == pytest.approx(3 / 6)
    assert one(found, ALL, MEDIAN_CHANGED).value == 2.5  # of 1, 1, 2, 3, 4 and infinity
    assert one(found, ALL, MEDIAN_SIZE).value == 0.625


def test_a_median_of_failures_has_no_value() -> None:
    found = table(build(attack_of([1, 1, None, None, None, None])))
    middle = one(found, ALL, MEDIAN_CHANGED)
    assert np.isnan(middle.value)
    assert middle.low == 1
    assert np.isnan(middle.high)


def test_first_examples_do_not_count() -> None:
    rows = attack_of([3] * 6)
    first = [(n, n, "0→1", "first", [(0, 0, 1.0)]) for n in range(1, 7)]
    found = table(build([*rows, *first]))
    assert one(found, ALL, MEDIAN_CHANGED).value == 3


def test_a_group_of_fewer_than_five_patients_has_no_numbers() -> None:
    """Five stays of four patients are four patients."""
    attack = build(attack_of([2] * 12))
    attack.cohort["sex"] = ["M"] * 5 + ["F"] * 7
    attack.cohort["subject_id"] = [1, 1, 2, 3, 4, *range(5, 12)]
    found = table(attack)
    (few,) = found[found.group == "M"].to_dict("records")
    assert few["division"] == "sex"
    assert all(pd.isna(few[name]) for name in ("stays", "patients", *RESULT))
    assert one(found, "F", FLIPPED).patients == 7


def test_groups_by_risk_age_and_measured_values() -> None:
    attack = build([*attack_of([1] * 9), *attack_of([2] * 9, 10, "1→0")])
    risk = pd.Series([0.01] * 9 + [0.7] * 9, index=attack.cohort.stay_id)
    found = easily_flipped(attack.examples, attack.cohort, risk, np.arange(18), RESAMPLES)
    by_direction = found[found.division == RISK].groupby("direction").group.unique()
    assert by_direction.to_dict() == {"0→1": ["below 2 %"], "1→0": ["50 % or more"]}
    assert found[found.division == "age"].group.unique().tolist() == ["45 to 64"]
    thirds = found[found.division == MEASURED].drop_duplicates(["direction", "group"])
    assert thirds.group.tolist() == [
        *("5 or fewer", "6 to 11", "6 to 11", "more than 11")
    ]  # stays 0 to 8 are of the first direction, and the others of the second one
    assert thirds.patients.dropna().tolist() == [6, 6]


def test_a_model_from_a_file_has_no_predicted_risk() -> None:
    found = table(build(attack_of([1] * 6)), None)
    assert RISK not in set(found.division)
    assert ALL in set(found.division)


def test_an_empty_attack_has_no_rows() -> None:
    attack = build(attack_of([1] * 5))
    found = easily_flipped(attack.examples[:0], attack.cohort, None, np.arange(5), RESAMPLES)
    assert found.empty


def test_all_flipped_still_has_a_lower_limit() -> None:
    """The resamples do not vary. The exact limit of n of n is 0.025 ** (1 / n)."""
    row = one(table(build(attack_of([1] * 20))), ALL, FLIPPED)
    assert (row.value, row.high) == (1, 1)
    assert row.low == pytest.approx(0.025 ** (1 / 20))
    none = one(table(build(attack_of([2] * 20))), ALL, WITHIN_CHANGED, 1)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_the_interval_of_a_share_is_that_of_a_proportion() -> None:
    row = one(table(build(attack_of([1] * 60 + [5] * 40)), resamples=2000), ALL, WITHIN_CHANGED, 1)
    error = np.sqrt(0.6 * 0.4 / 100)
    assert row.low == pytest.approx(0.6 - 1.96 * error, abs=0.02)
    assert row.high == pytest.approx(0.6 + 1.96 * error, abs=0.02)


def test_patients_are_drawn_and_not_stays() -> None:
    """Ten patients with ten stays each: the interval is that of ten draws."""
    attack = build(attack_of([1] * 50 + [5] * 50))
    attack.cohort["subject_id"] = np.repeat(range(10), 10)
    row = one(table(attack, resamples=2000), ALL, WITHIN_CHANGED, 1)
    assert row.high - row.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 10), abs=0.1)


def test_the_order_of_the_stays_does_not_matter() -> None:
    attack = build([*attack_of([1, 2, 3, 4, 5, 6]), *attack_of([2] * 6, 7, "1→0")])
    shuffled = attack.examples.sample(frac=1, random_state=1)
    again = easily_flipped(shuffled, attack.cohort, None, np.arange(12), RESAMPLES)
    pd.testing.assert_frame_equal(again, table(attack, None))
