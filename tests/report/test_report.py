"""The text of both pages: what they say, what they hide, and that they are complete."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_world import PLOTS, filled, tables
from literature_set import NAMES, M
from report_world import (
    COMMON_NAME,
    DEATHS,
    FIRST_STAY,
    HOURS,
    OBJECTIVES,
    RARE_NAME,
    SECRET,
    SURVIVORS,
    lay_literature,
    small,
)

from icu_adversarial.config.params import Params
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.paths import EXPLORER, REPORT
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.measurements import DICTIONARY
from icu_adversarial.report import vega
from icu_adversarial.report.checklist import ASKED
from icu_adversarial.report.cohort import merged
from icu_adversarial.report.examples import LARGEST, series, spread
from icu_adversarial.report.html import interval, number, table, titled
from icu_adversarial.report.inputs import read_literature, read_results
from icu_adversarial.report.opening import opening
from icu_adversarial.report.page import embedded
from icu_adversarial.report.sections import SECTIONS, report
from icu_adversarial.stages import report as stage

STAYS = [str(FIRST_STAY + place) for place in range(SURVIVORS + DEATHS)]
LARGEST_PAGE = 5_000_000  # bytes


class Page(HTMLParser):
    """Headings, tables without a caption, ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tables = self.captions = 0
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.ids += [found["id"]] if found.get("id") else []
        self.links += [str(found["href"])] if tag == "a" else []
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.language = (found.get("lang") or "") if tag == "html" else self.language


@pytest.fixture(scope="module")
def text(made: Path) -> str:
    return (made / REPORT).read_text(encoding="utf-8")


def specs(text: str) -> dict[str, dict[str, Any]]:
    """The figures of a page by name."""
    found = re.findall(r'data-figure="([^"]+)">(.*?)</script>', text, re.S)
    return {name: json.loads(spec) for name, spec in found}


@pytest.mark.parametrize("path", [REPORT, EXPLORER], ids=["report", "explorer"])
def test_a_page_can_be_read_by_everybody(made: Path, path: Path) -> None:
    text = (made / path).read_text(encoding="utf-8")
    page = Page(text)
    assert page.language == "en"
    assert page.levels[0] == 1
    assert page.levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(page.levels, page.levels[1:], strict=False))
    assert page.tables == page.captions > 0
    assert len(set(page.ids)) == len(page.ids)
    assert all(link.removeprefix("#") in page.ids for link in page.links)
    assert all(spec["description"] for spec in specs(text).values())
    assert len(text.encode()) < LARGEST_PAGE


@pytest.mark.parametrize("path", [REPORT, EXPLORER], ids=["report", "explorer"])
def test_synthetic_data_are_called_so_at_the_top_and_in_every_figure(
    made: Path, path: Path
) -> None:
    text = (made / path).read_text(encoding="utf-8")
    assert text.index("Synthetic data: the patients are invented.") < text.index("<h1>")
    for name, spec in specs(text).items():
        assert "synthetic hospital (not real patients)" in json.dumps(spec), name


def test_the_report_has_no_patient(text: str, made: Path) -> None:
    """Three patients have a rare change of a size that nothing else has."""
    assert not [stay for stay in STAYS if stay in text]
    assert f"{SECRET}"[:5] not in json.dumps(specs(text))
    explorer = (made / EXPLORER).read_text(encoding="utf-8")
    failed = STAYS[5]
    assert [stay for stay in STAYS if stay not in explorer] == [failed]


def test_a_cell_of_fewer_than_five_patients_has_no_numbers(text: str) -> None:
    rows = specs(text)["map-chart"]["data"]["values"].splitlines()
    head = rows[0].split(",")
    cells = [dict(zip(head, row.split(","), strict=True)) for row in rows[1:]]
    assert len(cells) == len(OBJECTIVES) * 2 * HOURS * len(NAMES)
    few = [cell for cell in cells if cell["patients"] == "-1"]
    assert few
    assert {cell["a"] + cell["s"] + cell["gpp"] + cell["a_high"] for cell in few} == {""}
    assert {cell["m"] for cell in cells if cell["a"]} == {str(NAMES.index(COMMON_NAME))}


def test_a_measurement_and_a_group_of_fewer_than_five_patients_are_left_out(text: str) -> None:
    rows = specs(text)["ranking-robust_l0"]["data"]["values"]
    assert titled(COMMON_NAME) in {row["measurement"] for row in rows}
    survivors = {row["measurement"] for row in rows if row["direction"] == "0→1"}
    assert titled(RARE_NAME) not in survivors
    scored = specs(text)["subgroups-chart"]["data"]["values"]
    assert {row["group"] for row in scored} == {"45 to 64", "80 and over", "F"}
    assert "age: under 45" not in text  # 30 stays, but 2 deaths
    assert "<td>130</td><td>14</td><td>0.820 (0.720\u00a0to\u00a00.920)</td>" in text
    groups = specs(text)["groups-chart"]["data"]["values"]
    assert {row["group"] for row in groups if row["division"] == "sex"} == {"F"}
    assert "sex: M</th><td>fewer than 5 patients" in text


def test_five_sentences_are_made_of_the_numbers(
    made: Path, monkeypatch: Any, params: Params
) -> None:
    monkeypatch.chdir(made)
    results = read_results(
        "synthetic hospital (not real patients)", "death in the hospital", ("robust_l1",), "grid"
    )
    said = re.sub("<[^>]+>", "", opening(results)[0])
    sentences = re.split(r"\.(?= [A-Z]|$)", said.replace("95 %", "95%"))
    assert len([s for s in sentences if s.strip()]) == 5
    assert "9 ICU stays" in said
    assert "0.800 (0.750\u00a0to\u00a00.850)" in said
    assert f"95.8% of {SURVIVORS} survivors and 100.0% of {DEATHS} deaths" in said
    assert titled(COMMON_NAME) in said


def test_words_follow_the_outcome(made: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(made)
    results = read_results("MIMIC-III", "ICU stay of more than 7 days", ("robust_l1",), "grid")
    page = report(results)
    visible = re.sub(r"<(script|style|pre).*?</\1>", "", page, flags=re.S)
    assert "short stays predicted to be long (0→1)" in visible
    assert "survivors predicted to die" not in visible
    assert "Synthetic data" not in visible


def test_every_section_is_in_the_checklist(made: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(made)
    results = read_results("MIMIC-III", "death in the hospital", ("robust_l1",), "grid")
    assert [section(results).name for section in SECTIONS] == list(ASKED)


def test_the_same_results_give_the_same_bytes(made: Path, params: Params, monkeypatch: Any) -> None:
    monkeypatch.chdir(made)
    before = [path.read_bytes() for path in (REPORT, EXPLORER)]
    stage.run(small(params))
    assert [path.read_bytes() for path in (REPORT, EXPLORER)] == before


def test_a_missing_table_is_named(made: Path, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"metrics/evaluate/metrics.json is missing: run `dvc"):
        read_results("MIMIC-III", "death in the hospital", ("robust_l1",), "grid")


@pytest.mark.parametrize(("auroc", "shown"), [(0.8, True), (0.81, False)])
def test_the_study_of_the_literature_counts_if_it_is_of_this_run(
    tmp_path: Path, monkeypatch: Any, auroc: float, shown: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    scores = {"test": {"network": {"auroc": {"value": 0.8}}}}
    source = "synthetic hospital (not real patients)"
    assert read_literature(source, scores) is None
    lay_literature(auroc)
    found = read_literature(source, scores)
    assert (found is not None) == shown
    assert read_literature("MIMIC-III", scores) is None


@pytest.mark.parametrize("name", ["cohort", "coverage", "reliability", "subgroups", "literature"])
def test_a_figure_is_filled_as_dvc_fills_it(name: str, monkeypatch: Any, tmp_path: Path) -> None:
    """Only the limit of the labels differs, and what DVC needs for several revisions."""
    rows = tables()[name].assign(source="MIMIC-III")
    rows.to_csv(tmp_path / "table.csv", index=False)
    texts = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False)
    monkeypatch.chdir(Path(__file__).parents[2])
    ours, theirs = vega.filled(name, texts), filled(name, rows, ("",), source="MIMIC-III")
    assert ours["config"]["axis"].pop("labelLimit") == vega.LABEL_LIMIT
    assert ours.pop("data") == theirs.pop("data")
    assert ours == theirs
    assert name in PLOTS


def test_a_figure_that_needs_dvc_is_refused(monkeypatch: Any) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(InputError, match="history"):
        vega.filled("history", pd.DataFrame({"a": ["1"]}))


def test_a_fixed_switch_is_not_shown(monkeypatch: Any) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    spec = vega.filled("ranking", pd.DataFrame({"a": ["1"]}), kind="best")
    (kind,) = [parameter for parameter in spec["params"] if parameter["name"] == "kind"]
    assert kind == {"name": "kind", "value": "best"}


def flow(*excluded: int) -> pd.DataFrame:
    left = 100 - np.cumsum([0, *excluded])
    rows = {"order": range(len(left)), "step": [f"rule {n}" for n in range(len(left))]}
    counts = {"stays": left, "subjects": left, "deaths": left // 10, "excluded": [0, *excluded]}
    return pd.DataFrame(rows | counts).astype(str)


def test_a_rule_that_excludes_few_is_joined_with_the_next_one() -> None:
    found = merged(flow(10, 3, 4, 0, 6))
    assert found.step.tolist() == ["rule 0", "rule 1", "rule 2, rule 3", "rule 4", "rule 5"]
    assert found.excluded.tolist() == ["0", "10", "7", "0", "6"]
    assert found.stays.tolist() == ["100", "90", "83", "83", "77"]
    assert found.order.tolist() == ["0", "1", "2", "3", "4"]


def test_a_last_rule_that_excludes_few_is_joined_with_the_one_before() -> None:
    found = merged(flow(10, 2))
    assert found.step.tolist() == ["rule 0", "rule 1, rule 2"]
    assert found.excluded.tolist() == ["0", "12"]
    assert found.stays.tolist() == ["100", "88"]


def test_signs_of_html_are_escaped() -> None:
    assert "<b>" not in table("a <b>", ["<b>"], [("<b>", "<b>")])
    assert "</script>" not in embedded({"a": "</script>"})
    assert json.loads(embedded({"a": "</script>"})) == {"a": "</script>"}
    with pytest.raises(ValueError, match="Out of range"):
        embedded({"a": float("nan")})


def test_numbers_and_intervals() -> None:
    assert (number(None), number(np.nan), number(0.5, ".0%")) == ("–", "–", "50%")
    assert interval(0.5, 0.25, 0.75) == "0.5 (0.25\u00a0to\u00a00.75)"
    assert interval(2, 1, np.nan) == "2 (1\u00a0to\u00a0?)"
    assert interval(-0.5, None, None, form="+.1f") == "−0.5"
    assert interval(None, None, None) == "–"


def test_every_measurement_has_a_label_of_its_own() -> None:
    labels = [titled(name) for name in DICTIONARY]
    assert len(set(labels)) == len(labels)
    assert titled("bun") == "urea nitrogen (mg/dL)"
    assert titled("ph") == "blood pH"


@pytest.mark.parametrize("space", ["record", "grid"])
def test_the_explorer_shows_what_the_model_reads_after_the_change(space: Any) -> None:
    """Platelets of 100 and 200 in hours 0 and 3. The limits are 50 and 150. The second one becomes
    120 by an edit of the record, which also moves the hours between them; or the first free cell of
    the grid becomes 30 more."""
    grid = np.full((4, M), np.nan, np.float32)
    j = NAMES.index("platelet")
    grid[[0, 3], j] = 100, 200
    lower, upper = np.zeros(M, np.float32), np.ones(M, np.float32)
    lower[j], upper[j] = 50, 150
    scaler = Scaler(NAMES, lower, upper, (lower + upper) / 2, "linear", "both", ())
    hour, change = (3, -80.0) if space == "record" else (1, 30.0)
    changed = pd.DataFrame(
        {"hour": [hour], "measurement": "platelet", "delta": 0.3, "delta_clinical": change}
    )
    (found,) = series(grid, changed, scaler, range(4), space)
    assert found["name"] == "platelets (K/uL)"
    assert found["recorded"] == [100, None, None, 200]
    assert found["before"] == pytest.approx([100, 100 + 50 / 3, 100 + 100 / 3, 150])
    if space == "record":
        assert found["edited"] == [(3, 120)]
        assert found["after"] == pytest.approx([100, 100 + 20 / 3, 100 + 40 / 3, 120])
    else:
        assert found["edited"] == [(1, pytest.approx(130 + 50 / 3))]
        assert found["after"] == pytest.approx([100, 130 + 50 / 3, 100 + 100 / 3, 150])


def test_the_explorer_spreads_over_all_sizes() -> None:
    rows = pd.DataFrame(
        {
            "stay_id": range(1000),
            "direction": "0→1",
            "kind": "best",
            "success": True,
            "l1": np.arange(1000)[::-1] / 100,
        }
    )
    found = spread(rows, "0→1")
    assert len(found) == LARGEST
    assert found.l1.is_monotonic_increasing
    assert (found.l1.iloc[0], found.l1.iloc[-1]) == (0, 9.99)
    assert spread(rows, "1→0").empty
    assert len(spread(rows[:7], "0→1")) == 7
