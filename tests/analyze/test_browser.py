"""The page of `dvc plots` in a real browser that reaches no network."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import FLAGS, find_chromium


@pytest.mark.parametrize("command", [("show",), ("diff", "HEAD~1", "HEAD")], ids=["show", "diff"])
def test_every_figure_is_drawn_without_a_network(
    repository: Any, tmp_path: Path, command: tuple[str, ...]
) -> None:
    shown = [sys.executable, "-m", "dvc", "plots", *command, "-o", str(tmp_path / "page")]
    subprocess.run(shown, cwd=repository.folder, check=True, capture_output=True)
    page = tmp_path / "page" / "index.html"
    assert "cdn.jsdelivr" not in page.read_text(encoding="utf-8")
    browser = [
        find_chromium(),
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=20000",
        "--dump-dom",
        page.as_uri(),
    ]
    drawn = subprocess.run(browser, check=True, capture_output=True, text=True, timeout=240).stdout
    figures = drawn.split('<svg xmlns="http://www.w3.org/2000/svg"')[1:]
    assert len(figures) == len(repository.specs)
    assert all(
        re.search('aria-roledescription="(bar|rect mark|line mark|point)"', figure)
        for figure in figures
    )  # not an empty frame
    assert "vega-error" not in drawn
