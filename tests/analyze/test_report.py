"""The page and metrics.json."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from analysis_tables import CAP, Attack, Example, build, model_metrics, nothing_measured
from literature_set import NAMES

from icu_adversarial.analyze.captions import reach
from icu_adversarial.analyze.report import covers, report
from icu_adversarial.analyze.report_tables import with_interval
from icu_adversarial.analyze.summary import summary
from icu_adversarial.analyze.susceptibility import susceptibility

SOURCE = "synthetic hospital (not real patients)"


def maps(attack: Attack, grid: np.ndarray | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    return susceptibility(
        attack.examples,
        attack.perturbations,
        attack.cohort,
        np.ones_like(nothing_measured(attack)) if grid is None else grid,
        hours=range(2),
        names=NAMES,
        min_l0=1,
        max_l0=912,
        resamples=20,
    )


def numbers(attack: Attack, cap: float | None = CAP) -> dict[str, Any]:
    reached = reach(attack.examples, attack.perturbations, cap, 1, 912)
    return summary(attack.examples, maps(attack)[1], reached, 1, 912)


def page(attack: Attack, cap: float | None = CAP, grid: np.ndarray | None = None) -> str:
    return report(
        SOURCE,
        "death in the hospital",
        "sparse_small",
        cap,
        attack.cohort,
        model_metrics(),
        numbers(attack, cap),
        *maps(attack, grid),
        ["spo2: arterial SaO2"],
    )


def test_the_page_says_what_a_name_means_in_these_data(attack: Attack) -> None:
    assert "In these data: spo2: arterial SaO2." in page(attack)


def test_summary_by_hand(attack: Attack) -> None:
    found = numbers(attack)
    first = found["0_to_1"]["first"]
    assert found["0_to_1"]["attacked"] == 4
    assert (first["success_rate"], first["examples"], first["median_l0"]) == (0.75, 3, 2)
    assert first["median_l1"] == pytest.approx(0.8)
    assert first["median_linf"] == pytest.approx(0.5)
    assert first["top_measurement"] == "lactate"
    assert first["sum_a"] == pytest.approx((0.9 + 0.6 + 0.8) / 4, rel=1e-6)
    assert first["sum_s"] == pytest.approx(0.5 * 2 / 3 + 0.1 / 3 + 0.4 * 2 / 3 + 0.8 / 3, rel=1e-6)
    assert (first["capped_examples"], first["capped_cells"]) == (0.666667, 0.333333)
    nothing = found["1_to_0"]["first"]
    assert (nothing.pop("sum_a"), nothing.pop("sum_s"), nothing.pop("success_rate")) == (0, 0, 0)
    assert nothing.pop("examples") == 0
    assert len(nothing) == 6
    assert set(nothing.values()) == {None}
    assert found["1_to_0"]["best"]["success_rate"] == 1


def test_the_top_measurement_is_that_of_a() -> None:
    rows: list[Example] = [(n, n, "0→1", "best", [(0, 0, 0.25)]) for n in range(1, 10)]
    rows.append((10, 10, "0→1", "best", [(0, 0, 0.25), (0, 4, 1.0)]))
    rows += [(n, n, "0→1", "best", [(0, 4, 0.125)]) for n in range(11, 14)]
    attack = build(rows)
    table = maps(attack)[1]
    best = table[(table.kind == "best") & (table.fold == "all") & (table.direction == "0→1")]
    assert best.measurement[best.s.idxmax()] == "lactate"
    assert numbers(attack)["0_to_1"]["best"]["top_measurement"] == "potassium"


def test_metrics_and_page_say_what_the_intervals_cover(attack: Attack) -> None:
    """Two folds' models were attacked in direction 0→1, one of them in 1→0."""
    found = numbers(attack)
    assert (found["0_to_1"]["models"], found["0_to_1"]["interval"]) == (2, "subjects and models")
    assert (found["1_to_0"]["models"], found["1_to_0"]["interval"]) == (1, "subjects")
    up, down = page(attack).split("### 0→1")[1].split("### 1→0")
    assert covers(2) in up
    assert "between the 2 folds' models" in covers(2)
    assert covers(1) in down
    assert "do not cover the model" in covers(1)


def test_the_ensemble_is_one_model(attack: Attack) -> None:
    one = Attack(attack.examples.assign(fold=np.int8(-1)), attack.perturbations, attack.cohort)
    assert numbers(one)["0_to_1"]["interval"] == "subjects"
    assert covers(1) in page(one).split("### 0→1")[1].split("### 1→0")[0]


def test_nothing_attacked_has_no_success_rate(attack: Attack) -> None:
    nobody = Attack(attack.examples[:0], attack.perturbations[:0], attack.cohort)
    assert numbers(nobody)["0_to_1"]["best"]["success_rate"] is None


def test_the_page_names_the_source_warns_and_shows_the_tables(attack: Attack) -> None:
    text = page(attack)
    head = (
        f"Data: **{SOURCE}**. Outcome: death in the hospital. 5 stays of 4 subjects, 20.0% deaths"
    )
    assert head in text
    assert "**Warning:** The cohort has 5 stays" in text
    assert "| network | 0.800 (0.750–0.850) | 0.800" in text
    assert "| logistic regression | 0.800 (0.750–0.850) | – |" in text  # not available
    assert "| 0→1 | first | 4 | 0.75 | 3 | 2 | 0.8 | 0.5 | 0.667 | 0.333 | 0.575 |" in text
    assert "| 1 | lactate | 0–1 | 0.2 | 0 | 1 |" in text  # no patients enough for an interval
    for name in NAMES:
        assert f" | {name}" in text


def test_the_page_states_the_cap_or_that_there_is_none(attack: Attack) -> None:
    assert "The cap of the attack is 0.5: no cell changes more." in page(attack)
    assert "The attack has no cap." in page(attack, None)


def test_a_leads_and_the_literature_follows(attack: Attack) -> None:
    head = page(attack).split("### 0→1")[1].split("| --- |")[0].strip().splitlines()[-1]
    columns = [c.strip() for c in head.strip("|").split("|")]
    assert columns[:4] == ["rank (set)", "measurement", "A (95 % interval)", "A per measured cell"]
    assert columns[-2:] == ["S", "sensitivity"]


def test_intervals_are_those_of_a_alone() -> None:
    rows: list[Example] = [(n, n, "0→1", "best", [(0, 4, 0.25 + n / 64)]) for n in range(20)]
    line = next(x for x in page(build(rows)).splitlines() if "| lactate | 0–1 |" in x)
    cells = [c.strip() for c in line.strip("|").split("|")]
    assert cells[3].startswith("0.398 (0.")
    assert not any("(" in c for c in cells[:3] + cells[4:])


def test_the_ranks_of_single_folds_are_shown(attack: Attack) -> None:
    """Of the best examples of 0→1, fold 1's change lactate, fold 0's potassium."""
    up = page(attack).split("### 0→1")[1].split("### 1→0")[0]
    row = next(line for line in up.splitlines() if "| lactate | 0.2 " in line)
    assert row.startswith("| 1 (")
    assert "| =2, 1 |" in row  # fold 0 leaves lactate as it is: it shares rank 2


def test_equal_values_are_shown_as_ties() -> None:
    """Three cells of three measurements: two have the same A, and so have their measurements."""
    cells = [(0, 0, 0.5), (0, 4, 0.25), (1, 18, 0.25)]
    text = page(build([(1, 1, "0→1", "best", cells)])).split("### 0→1")[1].split("### 1→0")[0]
    measurements, by_cell = text.split("#### The 10 cells")
    ranks = {line.split(" | ")[1]: line.split(" ")[1] for line in measurements.splitlines()[6:-1]}
    assert (ranks["potassium"], ranks["lactate"], ranks["spo2"]) == ("1", "=2", "=2")
    assert {ranks[name] for name in NAMES if name not in ("potassium", "lactate", "spo2")} == {"=4"}
    assert [line.split(" ")[1] for line in by_cell.strip().splitlines()[-3:]] == ["1", "=2", "=2"]


def test_a_very_wide_interval_is_called_so() -> None:
    """The upper limit is more than ten times the lower one."""
    assert with_interval(0.05, 0.01, 0.1001) == "0.05 (0.01–0.1, very uncertain)"
    assert with_interval(0.05, 0.01, 0.1) == "0.05 (0.01–0.1)"
    assert with_interval(0.05, 0, 0.1, ".3f") == "0.050 (0.000–0.100, very uncertain)"
    assert with_interval(0.05, np.nan, np.nan) == "0.05"


def test_every_table_has_a_heading_and_words_for_its_columns(attack: Attack) -> None:
    """Each column is named at the start of an item, or within one as `name:` or `name =`."""
    text = page(attack)
    heading, items, tables = "", "", 0
    for block in text.split("\n\n"):
        if block.startswith("#"):
            assert not heading.startswith("####"), f"{heading} has no table"
            heading = block
        elif block.startswith("- "):
            items = block
        elif block.startswith("| "):
            tables += 1
            assert heading, block
            for column in block.splitlines()[0].strip("| ").split(" | "):
                name = column.removeprefix("median ").split(" (")[0]
                said = re.search(rf"(^- |\. |, |, and ){re.escape(name)}( \(|,|:| =)", items, re.M)
                assert said or name in ("model", "measurement"), column
            heading = ""
    assert tables == 2 + 2 * 2


def test_a_measurement_that_the_data_do_not_have_is_marked(attack: Attack) -> None:
    grid = np.ones_like(nothing_measured(attack))
    grid[..., NAMES.index("calcium")] = np.nan
    text = page(attack, grid=grid)
    assert text.count("| – | calcium | not in these data |") == 2
    assert text.count("not in these data") == 2


def test_at_most_ten_cells_by_a() -> None:
    attack = build([(1, 1, "0→1", "best", [(0, j, (j + 1) / 32) for j in range(19)])])
    top = page(attack).split("### 0→1")[1].split("| GANZP |")[1].split("###")[0].strip()
    assert [line.split(" | ")[1] for line in top.splitlines()[1:]] == list(NAMES[:8:-1])


def test_a_direction_without_examples_says_so(attack: Attack) -> None:
    none = Attack(
        attack.examples[attack.examples.direction == "0→1"], attack.perturbations, attack.cohort
    )
    last = page(none).split("### 1→0")[1].strip()
    assert last == ": deaths predicted to survive\n\nNo successful example."


def test_no_identifier_in_the_page() -> None:
    text = page(build([(987654, 123456, "0→1", "best", [(0, 0, 0.5)])]))
    assert "987654" not in text
    assert "123456" not in text
