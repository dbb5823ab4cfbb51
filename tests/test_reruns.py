"""Which stages an edit makes stale: `dvc status` in a copy of the repository, without its data."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

ROOT = Path(__file__).parents[1]
PACKAGE = "src/icu_adversarial"
ATTACKING = {"tune_attack", "attack", "probe"}
TRAINING = {"tune_model", "train", "evaluate"}
AFTER_GRID = TRAINING | ATTACKING | {"analyze", "stress"}
ALL = {"synthesize", "extract", "preprocess", "summarize", "report"} | AFTER_GRID

# A line of params.yaml, what replaces it, and the stages that the change makes stale.
SETTINGS = [
    (
        "window_hours: 48",
        "window_hours: 24",
        {"extract", "preprocess", "analyze", "stress"} | ATTACKING,
    ),
    (
        "measurements: literature",
        "measurements: extended",
        {"extract", "preprocess", "tune_model", "train", "analyze", "stress"} | ATTACKING,
    ),
    ("outcome: hospital_death", "outcome: icu_death", AFTER_GRID - {"attack"} | {"preprocess"}),
    ("  stays: 2000", "  stays: 1999", {"synthesize"}),
    ("  potassium: both", "  potassium: blood_gas", {"extract"}),
    ("  min_age: ", "  min_age: 4", {"preprocess"}),
    ("  test_fraction: ", "  test_fraction: 0.25", {"preprocess"}),
    ("  interpolation: linear", "  interpolation: previous", {"tune_model", "train"}),
    ("  epochs: 18", "  epochs: 17", {"train"}),
    ("  max_stays: 12", "  max_stays: 11", {"tune_attack"}),
    ("  attack_misclassified: ", "  attack_misclassified: true", {"attack", "probe"}),
    ("  min_l0: ", "  min_l0: 2", {"analyze"}),
    ("  changed_cells: 0.1", "  changed_cells: 0.3", set()),
    ("  measurement_dropout: 0.3", "  measurement_dropout: 0.2", {"tune_model"}),
]
# A file, and the stages that a comment at its end makes stale.
FILES = {
    f"{PACKAGE}/core/io.py": ALL,
    f"{PACKAGE}/measurements/__init__.py": ALL,
    f"{PACKAGE}/measurements/dictionary.yaml": ALL,
    f"{PACKAGE}/synthetic/physiology.py": {"synthesize"},
    f"{PACKAGE}/extract/sources/eicu_outcomes.py": {"extract"},
    f"{PACKAGE}/extract/storage/duck.py": {"extract"},
    f"{PACKAGE}/features/cohort.py": {"preprocess", "report"} | AFTER_GRID,
    f"{PACKAGE}/search/figures.py": {"tune_model", "evaluate", "tune_attack", "stress"},
    f"{PACKAGE}/model/networks/storage.py": TRAINING | ATTACKING | {"stress"},
    f"{PACKAGE}/model/training.py": TRAINING | {"stress"},
    f"{PACKAGE}/evaluate/curves.py": {"evaluate", "stress"},
    f"{PACKAGE}/attack/algorithms/prior.py": ATTACKING | {"stress"},
    f"{PACKAGE}/records/recorded.py": {"attack", "stress"},
    f"{PACKAGE}/stress/catalogue.py": {"stress"},
    f"{PACKAGE}/probe/sanity.py": {"probe"},
    f"{PACKAGE}/analyze/report.py": {"analyze", "summarize", "report"},
    f"{PACKAGE}/report/html.py": {"report"},
    f"{PACKAGE}/stages/train.py": {"train"},
    f"{PACKAGE}/stages/attack.py": {"attack"},
    f"{PACKAGE}/studies/leaky.py": set(),
    f"{PACKAGE}/tools/fetch.py": set(),
    f"{PACKAGE}/config/attack.py": set(),
    f"{PACKAGE}/config/model.py": set(),
    f"{PACKAGE}/config/base.py": set(),
    f"{PACKAGE}/cli.py": set(),
    "plots/ranking.py": {"report"},
    "benchmarks/attack_speed.py": set(),
    "tests/test_cli.py": set(),
    "README.md": set(),
    "docs/model.md": set(),
    "Makefile": set(),
    "profiles/tiny": set(),
    "requirements.lock": set(),
}


@pytest.fixture(scope="module")
def stale(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[str], str]], set]:
    """stale(file, change): the stages whose dependencies differ once the file is changed."""
    folder = tmp_path_factory.mktemp("reruns")
    listed = subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)

    def status() -> dict[str, str]:
        with contextlib.chdir(folder), Repo() as repo:
            return {name: repr(found) for name, found in repo.status("dvc.yaml").items()}

    before = status()

    def after(file: str, change: Callable[[str], str]) -> set[str]:
        path = folder / file
        text = path.read_text()
        changed = change(text)
        assert changed != text
        path.write_text(changed)
        try:
            found = status()
        finally:
            path.write_text(text)
        return {name.split("@")[0] for name in found if found[name] != before.get(name)}

    return after


@pytest.mark.parametrize("file", FILES)
def test_an_edit_of_a_file_makes_these_stages_stale(
    stale: Callable[[str, Callable[[str], str]], set], file: str
) -> None:
    assert stale(file, lambda text: text + "\n# a comment\n") == FILES[file]


@pytest.mark.parametrize(("line", "other", "stages"), SETTINGS)
def test_a_setting_makes_these_stages_stale(
    stale: Callable[[str, Callable[[str], str]], set], line: str, other: str, stages: set[str]
) -> None:
    def change(text: str) -> str:
        (found,) = [old for old in text.splitlines() if old.startswith(line)]
        return text.replace(f"\n{found}\n", f"\n{other}\n")

    assert stale("params.yaml", change) == stages | {"report"}  # it shows the whole file
