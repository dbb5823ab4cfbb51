"""The notebook runs in a clone, shows what each section is about, and changes nothing there."""

import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from test_repro import ROOT, Clone, clone, run  # noqa: F401 (a fixture)

from icu_adversarial.config.params import load_params

NOTEBOOK = Path("notebooks/walkthrough.ipynb")
# Section → how many figures and tables it shows, and some words of its text.
SECTIONS = {
    "1. Configuration": (0, 0, ["train:", "epochs:", "-S attack.max_stays=null"]),
    "2. Raw records": (0, 0, ["synthesize.stays", "Usable.", "data/raw/hospital.duckdb: MIMIC"]),
    "3. Extraction": (1, 1, ["Running stage 'extract'", "'deaths'"]),
    "4. Preprocessing": (1, 2, ["stays, hours, measurements: ("]),
    "5. Architecture": (0, 0, ["PooledLSTM(", "weights"]),
    "6. Search of the network, and its resumption": (2, 1, ["tune_model: stopped"]),
    "7. Training": (1, 0, []),
    "8. Scores": (5, 1, ["gradient boosting"]),
    "9. The networks of the literature": (0, 1, ["published, MIMIC-III: AUROC 0.909"]),
    "10. Search of the attack": (2, 1, ["sparse_small_max"]),
    "11. The attack on all stays": (1, 1, ["survivors predicted to die"]),
    "12. The maps": (9, 0, ["The patients are synthetic."]),
    "13. Change a setting, and compare": (
        1,
        0,
        ["three-steps", "attack.iterations", "flipped", "dvc_plots/index.html"],
    ),
}
Notebook = dict[str, Any]


def read(path: Path) -> Notebook:
    content: Notebook = json.loads(path.read_text(encoding="utf-8"))
    return content


def sections(notebook: Notebook) -> dict[str, list[dict[str, Any]]]:
    """The outputs below each heading."""
    found: dict[str, list[dict[str, Any]]] = {}
    name = ""
    for cell in notebook["cells"]:
        if heading := re.match("## (.*)", "".join(cell["source"])):
            name = heading[1]
        found.setdefault(name, []).extend(cell.get("outputs", []))
    return found


def words(output: dict[str, Any]) -> str:
    """The text of an output."""
    data = output.get("data", {})
    parts = [output.get("text", ""), data.get("text/plain", ""), data.get("text/markdown", "")]
    return "".join("".join(part) for part in parts)


def said(notebook: Notebook) -> str:
    return "".join(words(output) for part in sections(notebook).values() for output in part)


def check_sections(notebook: Notebook) -> None:
    """Each section has its figures, tables and words."""
    shown = sections(notebook)
    for name, (figures, tables, expected) in SECTIONS.items():
        data = [output.get("data", {}) for output in shown[name]]
        assert sum("image/png" in d for d in data) == figures, name
        assert sum("text/html" in d or "text/markdown" in d for d in data) == tables, name
        text = "".join(words(output) for output in shown[name])
        assert not [part for part in expected if part not in text], name


def check_outputs(notebook: Notebook) -> None:
    """No error, and nothing that names a machine or a person."""
    outputs = [output for part in sections(notebook).values() for output in part]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    everything = json.dumps(
        [{**o, "data": {**o.get("data", {}), "image/png": ""}} for o in outputs]
    )
    assert not re.findall(r"(?<![\w.])/(?:tmp|home|root|Users|private|var|work)/\S*", everything)
    assert len(socket.gethostname()) < 6 or socket.gethostname() not in everything


@pytest.fixture(scope="module")
def executed(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A clone in which the notebook was run as `make notebook` does, with few stays and steps."""
    folder, copy = clone("notebook", profile=()), tmp_path_factory.mktemp("copy")
    smaller = ("-S synthesize.stays=300", "-S attack.iterations=15")
    longer = ("-S tune_model.epochs_per_round=8",)  # so that the search is stopped in its trial 2
    settings = copy / "settings"
    settings.write_text("\n".join([(ROOT / "profiles" / "tiny").read_text(), *smaller, *longer]))
    run(
        folder,
        *(sys.executable, "-m", "notebooks"),
        ICU_NOTEBOOK_SETTINGS=str(settings),
        TMPDIR=str(copy),
    )
    return folder


def test_every_section_shows_its_figures_and_tables(executed: Path) -> None:
    notebook = read(executed / NOTEBOOK)
    assert [name for name in sections(notebook) if name] == [*SECTIONS, "Next"]
    check_outputs(notebook)
    check_sections(notebook)


def test_a_stopped_search_keeps_its_trials(executed: Path) -> None:
    parts = sections(read(executed / NOTEBOOK))["6. Search of the network, and its resumption"]
    stopped, continued = "".join(map(words, parts)).split("tune_model: stopped")
    assert "search: trial 1/2" in stopped
    assert "search: trial 2/2" not in stopped
    assert "search: trial 1/2" not in continued
    assert "search: trial 2/2" in continued


def test_nothing_else_changes_in_the_checkout(executed: Path) -> None:
    changed = run(executed, "git", "status", "--porcelain", "--untracked-files=all", "--ignored")
    left = [line for line in changed.splitlines() if "__pycache__" not in line]
    assert left == [f" M {NOTEBOOK}"]
    sources = [
        [cell["source"] for cell in read(root / NOTEBOOK)["cells"]] for root in (ROOT, executed)
    ]
    assert sources[0] == sources[1]


def test_the_stored_outputs_are_of_a_whole_run() -> None:
    """They are all there or none is, and the file is small enough for Git."""
    notebook = read(ROOT / NOTEBOOK)
    assert (ROOT / NOTEBOOK).stat().st_size < 2_000_000
    counts = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if any(counts):
        assert counts == list(range(1, len(counts) + 1))
        check_outputs(notebook)
        check_sections(notebook)


def test_its_own_settings_are_accepted(tmp_path: Path) -> None:
    source = "\n".join("".join(cell["source"]) for cell in read(ROOT / NOTEBOOK)["cells"])
    settings = re.findall(r"^-S (\S+)=(\S+)$", source, re.M)
    assert len(settings) > 10
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    for key, value in settings:
        *path, last = key.split(".")
        block = params
        for part in path:
            block = block[part]
        assert last in block, key
        block[last] = YAML(typ="safe").load(value)
    yaml.dump(params, tmp_path / "params.yaml")
    load_params(tmp_path / "params.yaml")
