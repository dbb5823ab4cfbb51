"""The page and metrics.json."""

import pandas as pd
import pytest
from analysis_tables import Attack, build, model_metrics

from icu_adversarial.analysis.report import report, summary, warning
from icu_adversarial.analysis.susceptibility import susceptibility
from icu_adversarial.measurements import NAMES

SOURCE = "synthetic hospital (not real patients)"


def page(attack: Attack) -> str:
    by_cell, by_measurement = susceptibility(
        attack.examples,
        attack.perturbations,
        attack.cohort,
        hours=range(2),
        min_l0=1,
        max_l0=912,
        resamples=20,
    )
    numbers = summary(attack.examples, by_measurement, 1, 912)
    return report(
        SOURCE, "sparse_small", attack.cohort, model_metrics(), numbers, by_cell, by_measurement
    )


def cohort(stays: int, deaths: int) -> pd.DataFrame:
    return pd.DataFrame({"died": [True] * deaths + [False] * (stays - deaths)})


@pytest.mark.parametrize(
    ("stays", "deaths", "conclusive"),
    [(500, 150, True), (500, 50, True), (499, 49, False), (500, 151, False), (73, 25, False)],
)
def test_small_or_deadly_cohorts_are_warned_about(
    stays: int, deaths: int, conclusive: bool
) -> None:
    told = warning(cohort(stays, deaths))
    assert (told is None) == conclusive
    if told:
        assert f"{stays} stays" in told
        assert "\n" not in told


def test_summary_by_hand(attack: Attack) -> None:
    _, by_measurement = susceptibility(
        attack.examples,
        attack.perturbations,
        attack.cohort,
        hours=range(2),
        min_l0=1,
        max_l0=912,
        resamples=5,
    )
    found = summary(attack.examples, by_measurement, 1, 912)
    first = found["0_to_1"]["first"]
    assert found["0_to_1"]["attacked"] == 4
    assert (first["success_rate"], first["examples"], first["median_l0"]) == (0.75, 3, 2)
    assert first["median_l1"] == pytest.approx(0.8)
    assert first["median_linf"] == pytest.approx(0.5)
    assert first["top_measurement"] == "lactate"
    assert first["sum_s"] == pytest.approx(0.5 * 2 / 3 + 0.1 / 3 + 0.4 * 2 / 3 + 0.8 / 3, rel=1e-6)
    assert found["1_to_0"]["first"] == {
        **{
            "success_rate": 0,
            "examples": 0,
            "median_l0": None,
            "median_l1": None,
            "median_linf": None,
        },
        **{"sum_s": 0, "top_measurement": None},
    }
    assert found["1_to_0"]["best"]["success_rate"] == 1


def test_nothing_attacked_has_no_success_rate(attack: Attack) -> None:
    nobody = Attack(attack.examples[:0], attack.perturbations[:0], attack.cohort)
    _, by_measurement = susceptibility(
        nobody.examples,
        nobody.perturbations,
        nobody.cohort,
        hours=range(2),
        min_l0=1,
        max_l0=912,
        resamples=5,
    )
    assert (
        summary(nobody.examples, by_measurement, 1, 912)["0_to_1"]["best"]["success_rate"] is None
    )


def test_the_page_names_the_source_warns_and_shows_the_tables(attack: Attack) -> None:
    text = page(attack)
    assert f"Data: **{SOURCE}**. 5 stays of 4 subjects, 20.0% deaths" in text
    assert "**Warning:** 5 stays" in text
    assert "| network | 0.800 (0.750–0.850) | 0.800" in text
    assert "| logistic regression | 0.800 (0.750–0.850) | – |" in text  # not available
    assert "| 0→1 | first | 4 | 0.75 | 3 | 2 | 0.8 | 0.5 |" in text
    assert "| 1 | lactate | 0–1 | 0.333 (" in text
    for name in NAMES:
        assert f" | {name}" in text


def test_at_most_ten_cells_by_susceptibility() -> None:
    attack = build([(1, 1, "0→1", "best", [(0, j, (j + 1) / 32) for j in range(19)])])
    top = page(attack).split("### 0→1")[1].split("| rank (interval)")[0].strip().splitlines()[2:]
    assert [line.split(" | ")[1].split()[0] for line in top] == list(NAMES[:8:-1])


def test_a_direction_without_examples_says_so(attack: Attack) -> None:
    none = Attack(
        attack.examples[attack.examples.direction == "0→1"], attack.perturbations, attack.cohort
    )
    assert page(none).split("### 1→0")[1].strip() == "No successful example."


def test_no_identifier_in_the_page() -> None:
    text = page(build([(987654, 123456, "0→1", "best", [(0, 0, 0.5)])]))
    assert "987654" not in text
    assert "123456" not in text
