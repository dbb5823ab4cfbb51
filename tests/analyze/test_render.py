"""Figures and the page as DVC fills them. test_plots.py checks the drawings."""

import configparser
import json
import re
import shutil
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from analysis_tables import ROOT
from figure_world import CURVES, HEATMAPS, PLOTS, REAL, SYNTHETIC
from literature_set import NAMES

from icu_adversarial.core.errors import InputError
from icu_adversarial.studies.published import HELD_OUT, LEAK, PUBLISHED
from icu_adversarial.tools import render

TEMPLATES = sorted((ROOT / ".dvc" / "plots").glob("*.json"))
MAPS = tuple(f"heatmap_{name}" for name in HEATMAPS)


def svg(spec: dict[str, Any]) -> str:
    return drawn(json.dumps(spec))


@cache
def drawn(spec: str) -> str:
    """Several tests look at the same figure."""
    return vl_convert.vegalite_to_svg(spec, vl_version=render.VEGA_LITE)


def texts(spec: dict[str, Any]) -> list[str]:
    return re.findall(r">([^<>]+)</(?:text|tspan)>", svg(spec))


def walk(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from walk(value)
    elif isinstance(part, list):
        for value in part:
            yield from walk(value)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_templates_are_json_with_room_for_the_data(path: Path) -> None:
    template = json.loads(path.read_text(encoding="utf-8"))
    assert template["data"]["values"] == "<DVC_METRIC_DATA>"
    assert template["config"] == json.loads(TEMPLATES[0].read_text(encoding="utf-8"))["config"]
    assert "<DVC" not in "".join(
        key for part in walk(template) for key in part
    )  # DVC fills in values, never keys


def test_every_template_is_drawn_here(repository: Any) -> None:
    assert set(repository.specs) == {path.stem for path in TEMPLATES}
    scales = [p["type"] for p in walk(repository.specs["heatmap_sensitivity"]) if "scheme" in p]
    assert scales == ["symlog"]  # else one hardly moved cell's huge sensitivity hides all others


def test_templates_named_in_dvc_yaml_exist() -> None:
    named = {options["template"] for options in PLOTS.values()}
    assert named
    assert named <= {path.stem for path in TEMPLATES}


def test_every_figure_renders_and_names_its_source(repository: Any) -> None:
    for name, spec in repository.specs.items():
        assert "<DVC" not in json.dumps(spec), name
        image = render.png(spec)
        width, height = struct.unpack(">II", image[16:24])
        assert image.startswith(b"\x89PNG"), name
        assert min(width, height) > 400, name
        assert REAL in texts(spec), name


MARKS = {  # of the workspace's figures; 2 directions, 2 hours, 2 splits, 12 trials
    **dict.fromkeys(MAPS, ("rect mark", 2 * 2 * 19)),
    "ranking": ("tick", 2 * 5 * 18),
    "discovery": ("line mark", 4),
    "histograms": ("bar", 4 * 13),
    "patients": ("point", 2 * (2 + 3)),
    "coverage": ("bar", 19),
    "rows": ("bar", 2 * 19),
    "cohort": ("bar", 4),  # all ICU stays, and what is left of them
    "history": ("point", 12),
    "importance": ("bar", 8),
    "slice": ("point", 24),
    "slice_choice": ("point", 12),
    "transfer": ("rect mark", 2 * 4),
    "learning": ("line mark", 4 * 5),
    "learning_curve": ("point", 18),
    "literature": ("point", 5),
    "roc": ("line mark", 2 * 3),
    "precision_recall": ("line mark", 2 * 3),
    "reliability": ("point", 2 * len(CURVES) * 9),
    "decision": ("line mark", 2 * 4),
    "subgroups": ("point", 4),
}


def test_the_cohort_flow_has_every_count(repository: Any) -> None:
    found = texts(repository.specs["cohort"])
    for text in (
        "all ICU stays",
        "9 stays",
        "7 subjects · 2 deaths (22.2%)",
        "age at least 18",
        "8 stays",
        "6 subjects · 1 death (12.5%)",
    ):
        assert text in found
    assert [text for text in found if text.endswith("excluded")] == ["1 excluded"]


@pytest.mark.parametrize("name", MARKS)
def test_every_row_becomes_a_mark(repository: Any, name: str) -> None:
    mark, count = MARKS[name]
    assert svg(repository.specs[name]).count(f'aria-roledescription="{mark}"') == count


def test_every_kind_of_score_has_its_own_colour_and_shape_in_the_comparison(
    repository: Any,
) -> None:
    """The figure repeats the names that studies/published.py gives the kinds."""
    marks = re.findall(
        r'aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="point"([^>]*)>',
        svg(repository.specs["literature"]),
    )
    looks = {
        k: {
            re.search(r' d="(.*?)".* fill="(.*?)"', mark).groups()
            for label, mark in marks
            if k in label
        }
        for k in (HELD_OUT, PUBLISHED, LEAK)
    }
    assert [len(look) for look in looks.values()] == [1, 1, 1]
    assert len(set.union(*looks.values())) == 3
    rows = [
        t
        for t in texts(repository.specs["literature"])
        if t in {"a network of the literature", "a leaky one", "ours"}
    ]
    assert rows == [
        *("a network of the literature", "a leaky one", "ours"),  # AUROC, in the table's order
        "a network of the literature",  # AUPRC
    ]


@pytest.mark.parametrize("name", ["roc", "reliability"])
def test_one_diagonal_per_panel(repository: Any, name: str) -> None:
    """Two revisions with two splits each."""
    assert len(re.findall('<line[^>]*stroke-dasharray="4,4"', svg(repository.compared[name]))) == 4


def test_two_revisions_are_side_by_side_with_their_sources(repository: Any) -> None:
    for name, spec in repository.compared.items():
        found = texts(spec)
        assert found.index(SYNTHETIC) < found.index(REAL), name
        heads = [t for t in found if t.endswith(("HEAD~1", "HEAD"))]
        assert [t.split(" · ")[-1] for t in heads] == ["HEAD~1", "HEAD"], name


def test_figures_of_an_attack_name_its_objective(repository: Any) -> None:
    for name in (*MAPS, "ranking", "histograms", "discovery", "patients"):
        assert any("objective sparse_small" in t for t in texts(repository.specs[name])), name


@pytest.mark.parametrize("name", MAPS)
def test_one_colour_scale_for_all_panels_and_revisions(repository: Any, name: str) -> None:
    vega = json.loads(
        json.dumps(
            vl_convert.vegalite_to_vega(
                json.dumps(repository.compared[name]), vl_version=render.VEGA_LITE
            )
        )
    )
    scales = [part for part in walk(vega) if part.get("name") == "color" and "domain" in part]
    assert scales == [s for s in vega["scales"] if s["name"] == "color"]
    assert len(scales) == 1
    legends = [part for part in walk(vega) if "legends" in part]
    assert len(legends) == 1


@pytest.mark.parametrize("name", MAPS)
def test_rows_are_named_in_column_order_in_every_panel(repository: Any, name: str) -> None:
    """Also of a measurement that these data do not have."""
    rows = [t for t in texts(repository.specs[name]) if t in NAMES]
    assert rows == list(NAMES) * 2


def test_specifications_take_each_setting_of_a_switch(repository: Any) -> None:
    content = {
        "data": {
            "metrics/analyze/o/plots/heatmap_s.csv": [
                {"content": json.loads(json.dumps(repository.specs["heatmap_s"]))}
            ]
        }
    }
    found = render.specifications(content)
    assert list(found) == ["analyze_o_heatmap_s", "analyze_o_heatmap_s_first"]
    assert not any("workspace" in t for t in texts(found["analyze_o_heatmap_s"]))
    kinds = {
        name: {t.rsplit(" ", 2)[1] for t in texts(spec) if re.match("[01]→[01].* examples", t)}
        for name, spec in found.items()
    }
    assert kinds == {"analyze_o_heatmap_s": {"best"}, "analyze_o_heatmap_s_first": {"first"}}


def test_figures_writes_every_plot_twice_the_same(
    repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.folder)
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert render.figures(once) == [f"{len(list(once.iterdir()))} figures are in {once}."]
    render.figures(twice)
    assert {p.name: p.read_bytes() for p in once.iterdir()} == {
        p.name: p.read_bytes() for p in twice.iterdir()
    }
    # kind of the maps and ranking; 6 scores, 2 splits of subgroups; edited or omitted values
    switches = len(MAPS) + 1 + 6 + 1
    names = {path.name for path in once.iterdir()}
    assert len(names) == len(repository.specs) + switches
    assert {
        "analyze_sparse_small_patients.png",
        "roc.png",
        "analyze_sparse_small_ranking_first.png",
    } <= names


def test_figures_names_the_missing_tables(
    repository: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(repository.folder, folder)
    monkeypatch.chdir(folder)
    for table in ("roc.csv", "literature.csv"):
        Path(table).unlink()
    monkeypatch.setattr(render, "png", lambda spec: b"")
    drawn, missing = render.figures(tmp_path / "figures")
    assert drawn.endswith(f"figures are in {tmp_path / 'figures'}.")
    assert missing == "Not drawn, because the table is missing or damaged: literature.csv, roc.csv"


def test_figures_outside_of_a_repository_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^`dvc plots show` [^\n]*$"):
        render.figures(tmp_path / "figures")


def test_the_page_contains_vega_and_has_no_links(tmp_path: Path) -> None:
    render.offline_page(tmp_path / "offline.html")
    page = (tmp_path / "offline.html").read_text(encoding="utf-8")
    assert [page.count(f"{{{name}}}") for name in ("plot_divs", "refresh_tag", "scripts")] == [
        1,
        1,
        0,
    ]
    assert page.count("</script>") == page.count("<script>") == 1
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
    assert "cdn.jsdelivr" not in page
    render.offline_page(tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_dvc_uses_the_page_and_sends_nothing_home() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config", encoding="utf-8")
    assert (
        Path(".dvc") / config["'plots'" if "'plots'" in config else "plots"]["html_template"]
        == render.OFFLINE_PAGE
    )
    assert [config["core"][key] for key in ("analytics", "autostage", "check_update")] == [
        "false"
    ] * 3
    assert (
        "/offline.html" in (ROOT / ".dvc" / ".gitignore").read_text(encoding="utf-8").splitlines()
    )


@pytest.mark.parametrize(
    ("name", "of_deaths", "of_long_stays"),
    [
        ("decision", "predicted probability of death", "predicted probability of a long stay"),
        ("precision_recall", "recall: share of the deaths", "recall: share of the long stays"),
        ("precision_recall", "share of the predicted deaths", "share of the predicted long stays"),
        ("reliability", "predicted probability of death", "predicted probability of a long stay"),
        ("reliability", "observed share of deaths", "observed share of long stays"),
        ("subgroups", "AUROC (0.5 is chance)", "AUROC (0.5 is chance)"),
    ],
)
def test_titles_of_axes_are_drawn_and_follow_the_outcome(
    repository: Any, name: str, of_deaths: str, of_long_stays: str
) -> None:
    spec = repository.specs[name]
    assert any(of_deaths in text for text in texts(spec))
    rows = [{**row, "outcome": "ICU stay of more than 4 days"} for row in spec["data"]["values"]]
    long = texts(spec | {"data": {**spec["data"], "values": rows}})
    assert any(of_long_stays in text for text in long)
