"""The attacks alone: `pip install .` in an environment that has torch and NumPy, and nothing else of the pipeline."""

import re
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from docs_pages import README, ROOT, python_block
from packaging.requirements import Requirement

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD = PROJECT["build-system"]["requires"]


def needed(requirements: list[str]) -> set[str]:
    """The distributions that some requirements ask for, and those that these ask for."""
    waiting, found = [Requirement(r) for r in requirements], set()
    while waiting:
        requirement = waiting.pop()
        if requirement.name in found or (requirement.marker and not requirement.marker.evaluate()):
            continue
        found.add(requirement.name)
        waiting += [
            inner
            for text in distribution(requirement.name).requires or []
            if "extra ==" not in text and (inner := Requirement(text))
        ]
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment where the package was installed with pip, without a network."""
    folder = tmp_path_factory.mktemp("install")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    links = folder / "packages"
    links.mkdir()
    for name in needed(PROJECT["project"]["dependencies"] + BUILD):
        installed = distribution(name)
        for top in {Path(file).parts[0] for file in installed.files or []} - {"..", "__pycache__"}:
            target = Path(str(installed.locate_file(top)))
            if target.exists() and not (links / top).exists():
                (links / top).symlink_to(target)
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (site / "links.pth").write_text(f"{links}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--no-index", "--no-build-isolation", str(ROOT)],
        check=True,
        cwd=folder,
    )
    return python


def run(python: Path, code: str, folder: Path) -> str:
    command = [str(python), "-W", "error", "-c", code]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_environment_holds_the_installed_package_and_no_part_of_the_pipeline(
    environment: Path, tmp_path: Path
) -> None:
    where = run(environment, "import icu_adversarial as p; print(p.__file__)", tmp_path)
    assert where.startswith(str(environment.parents[1]))
    code = "import importlib.util as u; print([m for m in ('pandas', 'dvc', 'optuna') if u.find_spec(m)])"
    assert run(environment, code, tmp_path).strip() == "[]"


def test_the_ten_lines_of_readme_flip_predictions(environment: Path, tmp_path: Path) -> None:
    code = f"import torch; torch.manual_seed(0)\n{python_block(README)}"
    said = run(environment, code, tmp_path)
    flipped = re.search(r"^(\d+) of 16 predictions flipped$", said, re.M)
    assert flipped, said
    assert int(flipped[1]) == 16
    cells = re.search(r"^mean number of changed values: ([\d.]+)$", said, re.M)
    assert cells, said
    assert 1 <= float(cells[1]) < 200


def test_the_ten_lines_are_ten_lines() -> None:
    assert len([line for line in python_block(README).splitlines() if line.strip()]) <= 10
