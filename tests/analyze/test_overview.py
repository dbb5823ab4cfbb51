"""The summary of a run: metrics/summary.json and the lines that `make repro` prints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysis_tables import Attack, build, model_metrics, nothing_measured
from literature_set import NAMES

from icu_adversarial.analyze.headline import headline
from icu_adversarial.analyze.overview import lines, overview
from icu_adversarial.analyze.susceptibility import susceptibility
from icu_adversarial.core.labels import LABELS


def found(attack: Attack, objective: str = "robust_l1") -> dict[str, Any]:
    maps = susceptibility(
        attack.examples,
        attack.perturbations,
        attack.cohort,
        np.ones_like(nothing_measured(attack)),
        hours=range(2),
        names=NAMES,
        min_l0=1,
        max_l0=912,
        resamples=20,
    )
    return headline(objective, attack.examples, maps[1])


def model(source: str = "synthetic", warning: str | None = None) -> dict[str, Any]:
    """metrics/evaluate/metrics.json of 1,200 training stays and 300 test stays."""
    cohort = {
        "source": LABELS[source],
        "outcome": "death in the hospital",
        "warning": warning,
        "stays": {"training": 1200, "test": 300},
        "deaths": {"training": 120, "test": 31},
    }
    scores: dict[str, Any] = json.loads(json.dumps(model_metrics()))  # models share no block
    auroc = {"value": 0.8449796, "low": 0.7725687, "high": 0.9068399}
    scores["test"]["network"]["auroc"] = auroc
    scores["test"]["gradient_boosting"]["auprc"] = dict.fromkeys(auroc)
    return {**cohort, **scores}


def test_headline_by_hand(attack: Attack) -> None:
    """Three of four survivors are flipped by one cell each. Failed stays are attacked stays."""
    headed = found(attack)
    assert headed["objective"] == "robust_l1"
    survivors, deaths = headed["directions"]
    assert survivors == {
        "direction": "0→1",
        "attacked": 4,
        "flipped": 3,
        "median_changed_values": 1,
        "most_susceptible": ["lactate", "potassium"],  # A: 0.8 / 4 and 0.4 / 4; no third one
    }
    assert (deaths["attacked"], deaths["flipped"]) == (1, 1)
    assert deaths["most_susceptible"] == ["spo2"]


def test_first_examples_do_not_count() -> None:
    cells = [(0, column, 0.5) for column in range(6)]
    attack = build([(1, 1, "0→1", "first", cells), (1, 1, "0→1", "best", cells[:4])])
    headed = found(attack)["directions"][0]
    assert (headed["attacked"], headed["median_changed_values"]) == (1, 4)
    assert len(headed["most_susceptible"]) == 3


def test_a_direction_without_stays_has_no_numbers() -> None:
    empty = found(build([(1, 1, "0→1", "best", None)]))
    assert empty["directions"][0]["flipped"] == 0
    assert empty["directions"][0]["median_changed_values"] is None
    assert empty["directions"][1] == {
        "direction": "1→0",
        "attacked": 0,
        "flipped": 0,
        "median_changed_values": None,
        "most_susceptible": [],
    }
    summary = overview(model(), [empty])
    assert (summary["flipped"], summary["changed"]) == (0, None)
    assert summary["attacks"][1]["flipped_share"] is None
    assert any("none attacked" in line for line in lines(summary, []))


def test_four_numbers_are_for_the_table_of_experiments(attack: Attack) -> None:
    """DVC makes a column of every number and text that is not in a list."""
    other = found(attack, "robust_l0")
    other["directions"][0] |= {"flipped": 2, "median_changed_values": 7.5}
    summary = overview(model(), [found(attack), other])
    columns = {name: value for name, value in summary.items() if not isinstance(value, list)}
    assert columns == {
        "auroc": 0.845,
        "auprc": 0.8,
        "flipped": (0.75 + 1 + 0.5 + 1) / 4,
        "changed": (1 + 1 + 7.5 + 1) / 4,
    }


def test_the_dozen_figures(attack: Attack) -> None:
    summary = overview(model(), [found(attack), found(attack, "robust_l0")])
    assert [(row["model"], row["score"]) for row in summary["scores"]] == [
        ("network", "auroc"),
        ("network", "auprc"),
        ("gradient_boosting", "auroc"),
        ("gradient_boosting", "auprc"),
    ]
    assert summary["scores"][0] == {
        "model": "network",
        "score": "auroc",
        "value": 0.8449796,
        "low": 0.7725687,
        "high": 0.9068399,
    }
    assert summary["scores"][3]["value"] is None
    assert [(row["objective"], row["direction"]) for row in summary["attacks"]] == [
        ("robust_l1", "0→1"),
        ("robust_l1", "1→0"),
        ("robust_l0", "0→1"),
        ("robust_l0", "1→0"),
    ]
    assert summary["attacks"][0]["flipped_share"] == 0.75


def test_a_score_is_rounded_once(attack: Attack) -> None:
    """0.70346 is 0.703 in the report, so it is not 0.704 here."""
    scores = model()
    scores["test"]["network"]["auprc"] = {"value": 0.70346, "low": 0.6, "high": 0.8}
    summary = overview(scores, [found(attack)])
    assert summary["auprc"] == 0.7035
    assert lines(summary, [])[2].endswith("0.703 (0.600–0.800)")


def test_the_lines_say_what_was_found(
    attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report of robust_l0 was not written."""
    monkeypatch.chdir(tmp_path)
    Path("metrics/analyze/robust_l1").mkdir(parents=True)
    Path("metrics/report.html").write_text("")
    Path("metrics/analyze/robust_l1/report.md").write_text("")
    summary = overview(model(), [found(attack), found(attack, "robust_l0")])
    text = lines(summary, ["robust_l1", "robust_l0"])
    page = "\n".join(text)
    assert "Data: synthetic hospital (not real patients): 1,500 stays, 151 deaths." in text[0]
    assert "0.845 (0.773–0.907)" in page
    network, boosting = text[2:4]
    assert network.split()[0] == "network"
    assert boosting.split()[:2] == ["gradient", "boosting"]
    assert boosting.endswith("–")  # its AUPRC is not available
    (row,) = [line for line in text if "robust_l0" in line and "survivors" in line]
    assert "75.0% of 4" in row
    assert "median 1 " in row
    assert row.endswith("lactate, potassium")
    assert "Reports: metrics/report.html, metrics/analyze/robust_l1/report.md" in text
    assert "Missing, run `dvc repro`: metrics/analyze/robust_l0/report.md" in text
    assert "Open metrics/report.html in a browser" in page
    assert "src/run.py figures" in page
    assert text[-1].startswith("The patients are synthetic.")
    assert "Warning" not in page


@pytest.mark.parametrize("objectives", [1, 2, 3, 6])
def test_at_most_fifteen_lines_of_at_most_120_characters(
    attack: Attack, objectives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the reports are missing."""
    monkeypatch.chdir(tmp_path)
    names = ["max_num_nonzero_perts", "robust_l0", "sparse_small", "sparsity", "b", "c"]
    attacks = [found(attack, name) for name in names[:objectives]]
    for headed in attacks:
        for row in headed["directions"]:
            row["most_susceptible"] = ["bicarbonate", "creatinine", "magnesium"]
            row["attacked"] = row["flipped"] = 12345
    for name in names[:objectives:2]:
        Path("metrics/analyze", name).mkdir(parents=True)
        Path("metrics/analyze", name, "report.md").write_text("")
    text = lines(overview(model(warning="too few deaths"), attacks), names[:objectives])
    assert len(text) <= 15
    assert max(map(len, text)) <= 120
    assert (f"  {objectives - 2} more in metrics/summary.json" in text) == (objectives > 2)
    assert any(line.startswith("Reports: ") for line in text)
    (missing,) = [line for line in text if line.startswith("Missing")] or [""]
    assert "metrics/report.html" in missing
    assert (" more" in missing) == (objectives == 6)
    assert "Warning: nothing can be concluded from this cohort. The report says why." in text


def test_real_patients_are_not_called_synthetic(attack: Attack) -> None:
    text = lines(overview(model("challenge2012"), [found(attack)]), [])
    assert text[0].startswith("Data: PhysioNet Challenge 2012")
    assert "synthetic" not in "\n".join(text)
