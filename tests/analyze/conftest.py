"""The hand-made attack of these tests, and a repository with every figure in two revisions."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from analysis_tables import ROOT, Attack, Example, build
from figure_world import HEATMAPS, PLOTS, REAL, SYNTHETIC, older, tables

from icu_adversarial.config.params import Params
from icu_adversarial.tools.render import offline_page

EXAMPLES: list[Example] = [
    (1, 1, "0→1", "first", [(0, 4, 0.5), (1, 4, -0.1), (1, 0, 0.2)]),
    (1, 1, "0→1", "best", [(0, 4, 0.5)]),
    (2, 1, "0→1", "first", [(0, 4, -0.3)]),
    (2, 1, "0→1", "best", [(0, 4, -0.3)]),
    (3, 2, "0→1", "first", [(1, 0, 0.4), (1, 6, 0.8)]),
    (3, 2, "0→1", "best", [(1, 0, 0.4)]),
    (4, 3, "0→1", "first", None),
    (4, 3, "0→1", "best", None),
    (5, 4, "1→0", "first", None),
    (5, 4, "1→0", "best", [(1, 18, -1.0)]),
]
ANALYZED = ("histograms", "discovery", "ranking", *(f"heatmap_{name}" for name in HEATMAPS))


@dataclass(frozen=True)
class Repository:
    """A DVC repository with every figure.

    Attributes:
        folder: Its root.
        specs: The figures of the workspace by the name of their table.
        compared: Those of the two revisions side by side.
    """

    folder: Path
    specs: dict[str, dict[str, Any]]
    compared: dict[str, dict[str, Any]]


@pytest.fixture
def attack() -> Attack:
    """Four stays of direction 0→1 and one of 1→0, T = 2.

    Subject 1 has stays 1 and 2; the attack on stay 4 fails; of stay 5 only the best example
    succeeds.
    """
    return build(EXAMPLES)


@pytest.fixture(scope="session")
def small(params: Params) -> Params:
    """params.yaml with a window of two hours."""
    return params.model_copy(update={"window_hours": 2})


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two commits: the synthetic hospital without optional columns, then real patients by label."""
    folder = tmp_path_factory.mktemp("figures")
    paths = {name: f"{_folder(name)}{name}.csv" for name in PLOTS}
    with chdir(folder):
        yaml = {"plots": [{paths[name]: options} for name, options in PLOTS.items()]}
        Path("dvc.yaml").write_text(json.dumps(yaml), encoding="utf-8")  # JSON is YAML
        _run("git", "init", "-q")
        _run("dvc", "init", "-q")
        shutil.copytree(ROOT / ".dvc" / "plots", ".dvc/plots")
        shutil.copy(ROOT / ".dvc" / "config", ".dvc/config")
        offline_page()
        for source, change in ((SYNTHETIC, older), (REAL, lambda _, table: table)):
            for name, table in tables().items():
                Path(paths[name]).parent.mkdir(parents=True, exist_ok=True)
                change(name, table).assign(source=source).to_csv(paths[name], index=False)
            _run("git", "add", "-f", ".")
            _run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", source)
        return Repository(folder, _specs("show"), _specs("diff", "HEAD~1", "HEAD"))


def _folder(name: str) -> str:
    if name == "patients":
        return "data/analyze/sparse_small/"
    return "metrics/analyze/sparse_small/plots/" if name in ANALYZED else ""


def _run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc"] if program == "dvc" else [program]
    return subprocess.run(
        [*command, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    ).stdout


def _specs(*command: str) -> dict[str, dict[str, Any]]:
    shown = json.loads(_run("dvc", "plots", *command, "--json"))
    assert "errors" not in shown
    return {Path(name).stem: renderings[0]["content"] for name, renderings in shown["data"].items()}
