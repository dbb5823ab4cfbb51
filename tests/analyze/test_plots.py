"""Properties of the drawn figures, checked by hand: tick labels, marks, notes, sentences."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import vl_convert
from figure_world import ABSENT, CAP, HEATMAPS, PLOTS, SYNTHETIC, filled, older, tables
from literature_set import NAMES

from icu_adversarial.extract.account import KEPT, REASONS, UNMAPPED
from icu_adversarial.tools.render import VEGA_LITE
from plots.__main__ import FOLDER, templates
from plots.rows import COLOURS

TABLES = tables()
MAPS = [f"heatmap_{name}" for name in HEATMAPS]
VALUES = {  # the columns that a figure draws, and what they have where all are equal
    "coverage": {"share": 0.5},
    "rows": {"share": 0.5},
    "cohort": {"stays": 9},
    "history": {"value": 0.5, "best": 0.5},
    "importance": {"importance": 0.5},
    "slice": {"value": 0.5, "setting": 0.5},
    "slice_choice": {"value": 0.5},
    "learning": {"value": 0.5, "epoch": 0},
    "learning_curve": {"mean": 0.5, "low": 0.5, "high": 0.5, "stays": 1000},
    "literature": {"value": 0.5, "low": 0.5, "high": 0.5},
    "roc": {"fpr": 0.5, "tpr": 0.5},
    "precision_recall": {"recall": 0.5, "precision": 0.5},
    "reliability": {"predicted": 0.5, "observed": 0.5, "stays": 1, "low": 0.5, "high": 0.5},
    "decision": {"threshold": 0.5, "net_benefit": 0.0, "treat_all": 0.0},
    "subgroups": {"value": 0.5, "low": 0.5, "high": 0.5},
    "errors": {"per_1000": 0.5, "low": 0.5, "high": 0.5},
    "cells": {"per_1000": 0.5},
    "thresholds": {"threshold": 0.5, "per_1000": 0.5},
    "edits": {"threshold": 0.5, "flipped": 0.5},
    "transfer": {"flipped": 0.5},
    "histograms": {"share": 0.5},
    "discovery": {"iteration": 0, "share": 0.5},
    "patients": {"original": 0.5, "perturbed": 0.5},
    "ranking": {"a": 0.5, "a_low": 0.5, "a_high": 0.5},
    **{f"heatmap_{name}": {name: 0.5} for name in HEATMAPS},
}
SVG = "{http://www.w3.org/2000/svg}"


def svg(spec: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(
        vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=VEGA_LITE)
    )


def classes(part: ElementTree.Element) -> list[str]:
    return part.get("class", "").split()


def visible(mark: ElementTree.Element) -> bool:
    return "0" not in (mark.get("opacity"), mark.get("fill-opacity"))


def texts(part: ElementTree.Element) -> list[str]:
    """The visible texts. Lines of one text are joined by a space."""
    seen = [" ".join(t.itertext()) for t in part.iter(f"{SVG}text") if visible(t)]
    return [text for text in seen if text]


def axes(figure: ElementTree.Element) -> list[list[str]]:
    """The tick labels of each axis that has any."""
    groups = [g for g in figure.iter(f"{SVG}g") if "role-axis-label" in classes(g)]
    return [labels for labels in map(texts, groups) if labels]


def numeric(labels: list[str]) -> bool:
    return all(re.fullmatch(r"[−-]?[\d,.]+%?", label) for label in labels)


def marks(
    part: ElementTree.Element, size: tuple[float, float] | None = None
) -> Iterator[tuple[tuple[float, float], tuple[float, float] | None]]:
    """The place of each point within its panel, and the size of the panel."""
    for child in part:
        box = re.fullmatch(r"M0\.5,0\.5h([\d.]+)v([\d.]+)h.*", child.get("d", ""))
        if child.tag == f"{SVG}path" and "background" in classes(child) and box:
            size = float(box[1]), float(box[2])
        if "mark-symbol" in classes(child) and "role-mark" in classes(child):
            for point in child.iter(f"{SVG}path"):
                place = re.search(r"translate\(([-\d.e]+),([-\d.e]+)\)", point.get("transform", ""))
                assert place
                yield (float(place[1]), float(place[2])), size
        yield from marks(child, size)


def equal(name: str) -> pd.DataFrame:
    return TABLES[name].assign(**VALUES[name])


def one(name: str) -> pd.DataFrame:
    """A single row that the figure shows as it opens."""
    table = equal(name)
    for column, first in (("split", "test"), ("kind", "best"), ("state", "complete")):
        if column in table and first in set(table[column]):
            table = table[table[column] == first]
    return table[:1]


def nothing(name: str, sentence: str) -> pd.DataFrame:
    """A single row that has only the note."""
    return pd.DataFrame([{"note": sentence}]).reindex(columns=[*TABLES[name].columns, "note"])


def test_the_templates_are_what_the_code_writes() -> None:
    """After a change in plots/: `make plots`."""
    written = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert written == templates()


def test_these_tests_know_every_figure() -> None:
    assert set(TABLES) == set(VALUES) == set(PLOTS)


@pytest.mark.parametrize("case", [one, equal, TABLES.get], ids=["one", "equal", "many"])
@pytest.mark.parametrize("name", TABLES)
def test_ticks_differ_and_marks_lie_within_the_axes(name: str, case: Any) -> None:
    figure = svg(filled(name, case(name)))
    drawn = axes(figure)
    assert drawn
    for labels in drawn:
        assert Counter(labels).most_common(1)[0][1] == 1, labels
        if numeric(labels):
            numbers = [float(re.sub("[,%]", "", t.replace("−", "-"))) for t in labels]
            assert numbers == sorted(numbers) or numbers == sorted(numbers, reverse=True)
    for (x, y), size in marks(figure):
        assert size is not None
        assert -0.01 <= x <= size[0] + 0.01, name
        assert -0.01 <= y <= size[1] + 0.01, name


@pytest.mark.parametrize("name", ["subgroups", "literature", "learning", "learning_curve"])
def test_an_auroc_of_one_half_lies_between_its_neighbours(name: str) -> None:
    """The axis of a single value was once labelled "1"."""
    labels = [f"{tenths / 10:.1f}" for tenths in range(4, 11)]
    assert labels in axes(svg(filled(name, equal(name))))
    if name == "subgroups":
        for (x, _), size in marks(svg(filled(name, one(name)))):
            assert size is not None
            assert x / size[0] == pytest.approx((0.5 - 0.4) / (1 - 0.4))


@pytest.mark.parametrize("name", TABLES)
def test_nothing_to_show_is_a_sentence_and_no_axis(name: str) -> None:
    figure = svg(filled(name, nothing(name, "Nothing to show: 3 trials are too few.")))
    seen = texts(figure)
    assert "Nothing to show: 3 trials are too few." in seen
    assert any(text.startswith(SYNTHETIC) for text in seen)
    assert not axes(figure)
    legends = [g for g in figure.iter(f"{SVG}g") if "role-legend" in classes(g)]
    assert not [text for legend in legends for text in texts(legend)]
    looks = ("role-legend-gradient", "role-legend-symbol")
    shapes = [g for g in figure.iter(f"{SVG}g") if set(looks) & set(classes(g))]
    assert not [p for shape in shapes for p in shape.iter(f"{SVG}path") if visible(p)]


@pytest.mark.parametrize("name", TABLES)
def test_no_value_is_a_sentence_too(name: str) -> None:
    """Maps and matrices keep their cells, which are grey then, and searches their pruned trials."""
    table = TABLES[name].assign(**dict.fromkeys(VALUES[name], np.nan))
    figure = svg(filled(name, table))
    if name in (*MAPS, "transfer", "patients", "ranking", "history", "slice_choice"):
        assert all(len(set(labels)) == len(labels) for labels in axes(figure))
    else:
        assert "Nothing to show: this table has no values" in texts(figure)
        assert not axes(figure)


@pytest.mark.parametrize("name", [n for n in TABLES if n != "patients"])
def test_two_revisions_have_the_same_axes(name: str) -> None:
    """An older one without optional columns and with other values, next to a newer one."""
    new = TABLES[name]
    old = older(name, new)
    factors = {c: 0.7 for c in VALUES[name] if c in old and c != "setting"}
    old = old.assign(**{c: old[c] * f for c, f in factors.items()})
    spec = filled(name, pd.concat([old.assign(rev="old"), new.assign(rev="new")]), ("",))
    figure = svg(spec)
    heads = [t.replace(" AUROC, test set", "") for t in texts(figure) if t.startswith(SYNTHETIC)]
    assert [head.split()[-1] for head in heads] == ["old", "new"]
    counted = Counter(tuple(labels) for labels in axes(figure) if numeric(labels))
    assert all(count % 2 == 0 for count in counted.values()), counted


@pytest.mark.parametrize("name", TABLES)
def test_a_note_is_shown(name: str) -> None:
    """A note that all rows have is shown once, however many panels there are."""
    notes = texts(svg(filled(name, TABLES[name].assign(note=CAP))))
    assert " ".join(notes).count(CAP) == 1


def test_a_warning_is_shown_once_and_each_panel_has_its_own_note() -> None:
    table = TABLES["discovery"]
    about = [f"The {kind} of {d}." for d, kind in zip(table.direction, table.kind, strict=True)]
    figure = svg(filled("discovery", table.assign(note=about, warning="Too few deaths.")))
    shown = texts(figure)
    assert shown.count("Too few deaths.") == 1
    for note in set(about):
        assert " ".join(shown).count(note) == 1


def test_every_reason_has_a_colour_that_differs_from_the_others() -> None:
    """In the figure of rows: either the hue or the lightness differs."""
    assert set(COLOURS) == {KEPT, *REASONS} - {UNMAPPED}
    colours = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS.values()]
    for one, other in itertools.combinations(colours, 2):
        assert np.linalg.norm(np.subtract(one, other)) > 50, (one, other)


@pytest.mark.parametrize("name", HEATMAPS)
def test_a_map_says_in_words_what_its_colours_mean(name: str) -> None:
    spec = filled(f"heatmap_{name}", TABLES[f"heatmap_{name}"])
    shown, title = texts(svg(spec)), spec["title"]["text"]
    short = name if name == "sensitivity" else name.upper()
    assert re.search(rf"\b{short}\b", title, re.IGNORECASE)
    assert len(title.split()) > 3
    legend = next(text for text in shown if text.startswith(f"{short}: "))
    assert ("share of examples" in legend) == (name in ("gpp", "s", "sensitivity"))
    # GPP is a share of examples, and the others contain the size of a change.
    assert any("winsorised range" in text for text in shown) == (name != "gpp")


@pytest.mark.parametrize("score", ["auroc", "auprc", "recall", "precision", "calibration_error"])
def test_the_axis_of_the_groups_names_the_score(score: str) -> None:
    spec = filled("subgroups", TABLES["subgroups"])
    (switch,) = (p for p in spec["params"] if p["name"] == "score")
    switch["value"] = score
    word = score.replace("_", " ").replace("au", "AU").replace("roc", "ROC").replace("prc", "PRC")
    shown = texts(svg(spec))
    assert [text for text in shown if text.startswith(word)][-1] != f"{word}, test set"


def settings(parameter: str, scale: str, values: list[float]) -> pd.DataFrame:
    rows = {"trial": range(len(values)), "value": 1.0, "state": "complete", "setting": values}
    return pd.DataFrame(rows).assign(parameter=parameter, scale=scale)


@pytest.mark.parametrize(
    ("scale", "values", "labels"),
    [
        ("log2", [8, 32, 16], ["8", "16", "32"]),
        ("log2", [64, 64], ["64"]),
        ("whole", [4, 6], ["4", "5", "6"]),
        ("whole", [0, 1], ["0", "1"]),
        ("log10", [0.0015, 0.01], ["0.002", "0.005", "0.01"]),
        ("log10", [1e-4, 0.1], ["0.0001", "0.001", "0.01", "0.1"]),
        ("number", [0, 2], ["0", "0.5", "1", "1.5", "2"]),
    ],
)
def test_a_setting_has_ticks_at_its_real_values(
    scale: str, values: list[float], labels: list[str]
) -> None:
    assert labels in axes(svg(filled("slice", settings("n_lstm", scale, values))))


@pytest.mark.parametrize("trials", [2, 3, 6])
def test_an_axis_of_trials_ends_with_the_last_one(trials: int) -> None:
    drawn = axes(svg(filled("history", tables(trials=trials)["history"])))
    assert [str(i) for i in range(trials)] in drawn


@pytest.mark.parametrize(
    ("hours", "labels"),
    [
        (48, ["0", "12", "24", "36", "48"]),
        (30, ["0", "6", "12", "18", "24", "30"]),
        (6, ["0", "3", "6"]),
    ],
)
def test_the_axis_of_hours_has_a_tick_at_the_end_of_the_window(
    hours: int, labels: list[str]
) -> None:
    drawn = axes(svg(filled("patients", tables(hours)["patients"])))
    assert drawn.count(labels) == 2 * (2 + 3)  # patients with two and three measurements


def fills(name: str, table: pd.DataFrame) -> Counter[str | None]:
    figure = svg(filled(name, table))
    cells = [p for p in figure.iter(f"{SVG}path") if p.get("aria-roledescription") == "rect mark"]
    return Counter(cell.get("fill") for cell in cells)


@pytest.mark.parametrize("name", MAPS)
def test_cells_of_few_patients_and_absent_measurements_are_marked(name: str) -> None:
    table = TABLES[name]
    best = table[table.kind == "best"]
    known = best[best.known == 1]
    found = fills(name, table)
    assert found["#d0d0d0"] == (known.patients < 5).sum() > 0
    assert found["#f2f2f2"] == (best.known == 0).sum() == 2 * 2
    assert texts(svg(filled(name, table))).count("not in these data") == 2


def test_a_cell_without_a_value_is_grey() -> None:
    table = older("heatmap_ganzp", TABLES["heatmap_ganzp"]).reset_index(drop=True)
    table.loc[table.index[table.kind == "best"][:3], "ganzp"] = np.nan
    missing = table[table.kind == "best"].ganzp.isna().sum()
    assert fills("heatmap_ganzp", table)["#d0d0d0"] == missing > 0


def test_the_ranking_shows_the_folds_next_to_the_pooled_value() -> None:
    table = TABLES["ranking"].copy()
    last = table[(table.fold == "all") & (table["rank"] == table["rank"].max())].measurement.iloc[0]
    table.loc[table.fold != "all", "rank"] = 19.0
    table.loc[(table.fold != "all") & (table.measurement == last), "rank"] = 1.0
    figure = svg(filled("ranking", table))
    roles = Counter(p.get("aria-roledescription") for p in figure.iter())
    known = len(NAMES) - 1
    assert (roles["bar"], roles["rule mark"], roles["tick"]) == (
        2 * known,
        2 * known,
        2 * 5 * known,
    )
    rows = [t for t in texts(figure) if t in NAMES]
    for number, direction in enumerate(("0→1", "1→0")):
        pooled = table[
            (table.direction == direction) & (table.kind == "best") & (table.fold == "all")
        ].sort_values("rank", na_position="last")
        assert rows[number * 19 : (number + 1) * 19] == pooled.measurement.tolist()
    assert rows[18] == rows[37] == ABSENT
    assert texts(figure).count("not in these data") == 2


def test_a_group_with_few_deaths_is_grey_and_has_its_numbers() -> None:
    figure = svg(filled("subgroups", TABLES["subgroups"]))
    points = [p for p in figure.iter(f"{SVG}path") if p.get("aria-roledescription") == "point"]
    assert [p.get("fill") for p in points] == ["#999999"] + ["#0072B2"] * 3
    assert "under 45 · 30 stays, 2 deaths" in texts(figure)


def test_a_value_beyond_the_axis_is_a_number_at_its_edge() -> None:
    """An AUROC of 0.3, on an axis from 0.4."""
    assert texts(svg(filled("literature", TABLES["literature"]))).count("0.300") == 1
    assert "0.300" not in texts(svg(filled("literature", equal("literature"))))


def test_chance_is_the_share_of_deaths() -> None:
    figure = svg(filled("precision_recall", TABLES["precision_recall"]))
    assert texts(figure).count("chance: 12.3% deaths") == 2
    lines = [
        line
        for group in figure.iter(f"{SVG}g")
        if "mark-rule" in classes(group) and "role-mark" in classes(group)
        for line in group.iter(f"{SVG}line")
    ]
    heights = [re.search(r",([\d.]+)\)", line.get("transform", "")) for line in lines]
    assert [float(h[1]) for h in heights if h] == pytest.approx([330 * (1 - 0.123)] * 2, abs=1)


def test_points_of_reliability_have_the_area_of_their_stays() -> None:
    table = TABLES["reliability"].query("curve == 'network' and split == 'test'")
    figure = svg(filled("reliability", table))
    points = [p for p in figure.iter(f"{SVG}path") if p.get("aria-roledescription") == "point"]
    radii = [re.match(r"M([\d.]+),0A", p.get("d", "")) for p in points]
    areas = [float(r[1]) ** 2 for r in radii if r]
    assert len(areas) == len(table)
    assert (
        np.argsort(areas, kind="stable").tolist()
        == np.argsort(table.stays.to_numpy(), kind="stable").tolist()
    )
    assert sum(p.get("aria-roledescription") == "rule mark" for p in figure.iter()) == len(table)


@pytest.mark.parametrize("name", [n for n in PLOTS if not n.startswith("heatmap")])
def test_the_axes_named_in_dvc_yaml_are_columns(name: str) -> None:
    assert {PLOTS[name]["x"], PLOTS[name]["y"]} <= set(TABLES[name].columns)
