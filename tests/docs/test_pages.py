"""The pages are up to date, complete, and say numbers that the results have."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from docs_pages import README, ROOT, pages
from literature_set import NAMES, M
from ruamel.yaml import YAML

from docs.generate import configuration, outputs
from docs.generate.__main__ import pages as generated
from icu_adversarial.analyze.susceptibility import susceptibility
from icu_adversarial.core import schemas
from icu_adversarial.features.scaling import Scaler

SECTIONS = [
    "Quick start",
    "Your own data",
    "Attack your own PyTorch model",
    "Key results",
    "Caveats",
    "Development",
    "Citation and licence",
]


@pytest.mark.parametrize("name", generated())
def test_a_generated_page_is_that_of_the_present_code(name: str) -> None:
    said = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert said == generated()[name], f"docs/{name} is not up to date: run `make docs`"


def test_the_site_builds_in_strict_mode(tmp_path: Path) -> None:
    """No broken link, no page outside the navigation, and nothing loaded from a network."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "index.html").read_text()
    assert "fonts.googleapis" not in home
    assert "find_examples" in (tmp_path / "api" / "index.html").read_text()


def test_readme_is_short_and_in_order() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text) <= 7000
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    assert text.index("challenge2012_map.png") < text.index("```mermaid") < text.index("## ")


def test_the_flow_chart_of_readme_has_every_stage_in_order() -> None:
    chart = README.read_text(encoding="utf-8").split("```mermaid")[1].split("```")[0]
    stages = [stage for stage in outputs.stages() if stage != "synthesize"]
    assert list(dict.fromkeys(re.findall(r"-->\|(\w+)\|", chart))) == stages


def test_every_number_of_the_key_results_is_on_a_page_that_they_name() -> None:
    part = README.read_text(encoding="utf-8").split("## Key results")[1].split("## ")[0]
    named = {ROOT / name for name in re.findall(r"\((docs/results/\w+\.md)", part)}
    said = "\n".join(page.read_text(encoding="utf-8") for page in named)
    numbers = re.findall(r"\d\.\d+", part)
    assert len(numbers) >= 8
    assert not [number for number in numbers if number not in said]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """mkdocs checks the links inside docs/; this checks those of the other pages too."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_a_comment_above_or_behind_a_key_is_its_description() -> None:
    text = (
        "# The file.\n\na: 1  # behind a\nb:\n  # Above c.\n  # More of c.\n  c: '# none'\n  d: 2\n"
    )
    assert configuration.comments(text) == {
        "a": "behind a",
        "b": "",
        "b.c": "Above c. More of c.",
        "b.d": "",
    }


def test_every_key_of_params_yaml_is_on_the_page_of_the_configuration() -> None:
    page = generated()["configuration.md"]

    def leaves(block: dict[str, object], prefix: str = "") -> list[str]:
        found = []
        for name, value in block.items():
            open_block = isinstance(value, dict) and value and name != "rows"
            inner = leaves(value, f"{prefix}{name}.") if open_block else []  # type: ignore[arg-type]
            found += inner or [prefix + name]
        return found

    values = YAML(typ="safe").load(ROOT / "params.yaml")
    keys = leaves(values)
    assert len(keys) > 80

    def shown(key: str) -> bool:
        """By itself, or in the value of a key above it."""
        above = key.rpartition(".")[0]
        return f"| `{key}` |" in page or (bool(above) and shown(above))

    assert not [key for key in keys if not shown(key)]


def test_every_column_of_the_tables_is_described_and_no_other() -> None:
    said = outputs.descriptions()
    for file, about in said["files"].items():
        if "schema" in about:
            columns = set(getattr(schemas, about["schema"]).names)
            assert columns <= set(outputs.known_columns(file)), file
    for name, columns in said["tables"].items():
        assert set(columns) <= set(getattr(schemas, name).names), name
    stages = outputs.stages() | outputs.studies()
    known = {file for stage in stages.values() for file in outputs.files(stage)}
    assert set(said["files"]) == known


def test_the_worked_example_of_susceptibility_is_what_the_code_computes() -> None:
    text = (ROOT / "docs" / "susceptibility.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z_]+) \| [^|]+ \| ([\d.]+) \|$", text, re.M)
    stays = re.findall(r"^\| (\d) \| (yes|no) \| ([+−]?[\d.]+) \|$", text, re.M)
    change = [float(size.replace("−", "-")) for _, _, size in stays]
    success = np.array([flipped == "yes" for _, flipped, _ in stays])
    ids = np.arange(1, len(stays) + 1)
    examples = pd.DataFrame(
        {
            "stay_id": ids,
            "fold": 0,
            "direction": "0→1",
            "kind": "best",
            "success": success,
            "iteration": np.where(success, 1, -1),
            "l0": np.where(success, 1, 0),
            "l1": np.abs(change),
            "linf": np.abs(change),
            "margin": -1.0,
        }
    )
    # The third stay is flipped by another cell.
    moved = [(1, 47, "bun", 0.2), (2, 47, "bun", -0.4), (3, 0, "ph", 0.1)]
    cells = pd.DataFrame(moved, columns=["stay_id", "hour", "measurement", "delta"])
    cells = cells.assign(kind="best", delta_clinical=0.0, observed=True)
    cohort = pd.DataFrame({"stay_id": ids, "subject_id": ids})
    by_cell, _ = susceptibility(
        examples,
        cells,
        cohort,
        np.zeros((len(ids), 48, M), np.float32),
        hours=range(48),
        names=NAMES,
        min_l0=1,
        max_l0=10,
        resamples=10,
    )
    cell = by_cell.query("direction == '0→1' and kind == 'best' and hour == 47")
    cell = cell.set_index("measurement").loc["bun"]
    assert len(rows) == 9
    for name, value in rows:
        assert float(value) == pytest.approx(cell[name], rel=5e-3), name
    assert np.isnan(cell["a_low"])
    assert cell["patients"] == 2


def test_the_example_of_the_features_is_what_the_code_computes() -> None:
    text = (ROOT / "docs" / "cohort-and-features.md").read_text(encoding="utf-8")
    rows = {
        name: [float(cell) if cell.strip() else np.nan for cell in cells.split("|")]
        for name, cells in re.findall(r"^\| (\w+) \|(.*)\|$", text, re.M)
        if name in ("observed", "winsorised", "filled", "scaled")
    }
    grid = np.full((1, 6, M), np.nan, np.float32)
    column = NAMES.index("bun")
    grid[0, :, column] = rows["observed"]
    zero, span = np.zeros(M, np.float32), np.zeros(M, np.float32)
    zero[column], span[column] = 10, 50
    scaler = Scaler(NAMES, zero, span, span, "linear", "both", ())
    scaled = scaler.values(grid)
    np.testing.assert_allclose(scaled[0, :, column], rows["scaled"])
    np.testing.assert_allclose(scaler.to_clinical(scaled)[0, :, column], rows["filled"])
    np.testing.assert_array_equal(np.clip(rows["observed"], 10, 50), rows["winsorised"])


def test_the_type_of_a_column_says_whether_it_may_be_empty() -> None:
    assert outputs.type_of(pa.field("age", pa.float32())) == "float, may be empty"
    assert outputs.type_of(pa.field("name", pa.string(), nullable=False)) == "text"
