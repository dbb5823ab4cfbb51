"""dvc.yaml, params.yaml, paths.py, .gitignore and the code say the same."""

import ast
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from rooms import SRC, dependencies, file_of, imports, level_of, module_of
from ruamel.yaml import YAML

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths

ROOT = Path(__file__).parents[1]
PIPELINE: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
STUDIES: dict[str, dict[str, Any]] = {
    stage: content
    for file in sorted((ROOT / "studies").glob("*/dvc.yaml"))
    for stage, content in YAML(typ="safe").load(file)["stages"].items()
}
STAGES = PIPELINE | STUDIES
ROWS: list[str] = STAGES["literature"]["matrix"]["row"]
OBJECTIVE = "sparse_small"
CODE_MAP = "code_maps/mimiciv_meds.csv"


def filled(entry: str | dict[str, Any]) -> list[str]:
    """The paths of one entry under deps, outs, metrics or plots, templates filled in."""
    path = entry if isinstance(entry, str) else next(iter(entry))
    for name, value in {
        "item.objective": OBJECTIVE,
        "extract.raw": "data/raw/synthetic",
        "extract.code_map": CODE_MAP,
        "attack.models": str(paths.MODELS),
    }.items():
        path = path.replace(f"${{{name}}}", value)
    return [path.replace("${item.row}", row) for row in (ROWS if "${item.row}" in path else [""])]


def listed(stage: str, kind: str) -> list[str]:
    """All paths of a stage under deps, outs, metrics or plots."""
    return [path for entry in STAGES[stage].get(kind, []) for path in filled(entry)]


def test_the_stages_are_those_of_the_command_line_in_the_order_of_the_data() -> None:
    assert list(PIPELINE) == [
        "synthesize",
        "extract",
        "preprocess",
        "tune_model",
        "train",
        "evaluate",
        "tune_attack",
        "attack",
        "probe",
        "analyze",
        "stress",
        "summarize",
        "report",
    ]
    assert {f.stem for f in (SRC / "icu_adversarial" / "stages").glob("*.py")} == {
        *PIPELINE,
        "__init__",
    }
    for stage, content in STAGES.items():
        options = [f" --{option} ${{item.{option}}}" for option in content.get("matrix", {})]
        assert content["cmd"] == f"python src/run.py {stage}{''.join(options)}"


def test_every_row_of_the_comparison_is_trained_and_shown(params: Params) -> None:
    assert list(params.literature.rows) == ROWS
    assert {f"metrics/literature/{row}/metrics.json" for row in ROWS} < set(
        listed("literature_table", "deps")
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_rooms_that_it_imports_and_on_no_other(stage: str) -> None:
    assert {d for d in listed(stage, "deps") if d.startswith("src/")} == dependencies(stage)


MADE_OF = {
    "hours": {"window_hours", "bin_hours"},
    "label": {"outcome", "extract.source"},
    "names": {"measurements"},
    "columns": {"measurements"},
    "cells": {"window_hours", "bin_hours", "measurements"},
    "literature.model_of": {"literature.model", "literature.rows"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_that_a_stage_reads_is_declared_and_no_other(
    stage: str, params: Params
) -> None:
    """`params.train` in the code of a stage needs `train` in dvc.yaml. A property of Params needs
    the keys that it is made of."""
    code = (SRC / f"{module_of(stage).replace('.', '/')}.py").read_text()
    read = {
        match.rstrip(".") for match in re.findall(r"\bparams\.(?!yaml)((?:[a-z_0-9]+\.?)+)", code)
    }
    for name in read & MADE_OF.keys():
        read = read - {name} | MADE_OF[name]
    declared = {declaration.removesuffix(".${item.row}") for declaration in STAGES[stage]["params"]}

    def covers(declaration: str, use: str) -> bool:
        use = use.replace("extract.label", "extract.source")
        return use == declaration or use.startswith(declaration + ".")

    assert not [use for use in read if not any(covers(d, use) for d in declared)]
    assert not [
        d for d in declared if not any(covers(d, use) or use == d.split(".")[0] for use in read)
    ]
    for declaration in declared:
        value: Any = params
        for part in declaration.split("."):
            value = getattr(value, part)


def test_no_stage_depends_on_what_no_other_writes() -> None:
    written = {
        path
        for stage in STAGES
        for kind in ("outs", "metrics", "plots")
        for path in listed(stage, kind)
    }
    for stage in STAGES:
        ours = {CODE_MAP, "params.yaml", "plots"}
        data = {d for d in listed(stage, "deps") if not d.startswith("src/")} - ours
        unwritten = {d for d in data - written if not any(w.startswith(f"{d}/") for w in written)}
        assert not unwritten, stage


def test_the_code_map_is_a_file_of_the_repository(params: Params) -> None:
    """A dependency of extract whatever the source: DVC needs it there."""
    assert params.extract.code_map == Path(CODE_MAP)
    assert (ROOT / CODE_MAP).is_file()


def test_paths_of_the_code_are_those_of_dvc_yaml() -> None:
    constants = {
        value for name, value in vars(paths).items() if name.isupper() and isinstance(value, Path)
    }
    written = {
        Path(path)
        for stage in STAGES
        for kind in ("outs", "metrics", "plots")
        for path in listed(stage, kind)
    }
    for constant in constants:
        assert any(path == constant or path.is_relative_to(constant) for path in written), constant
    for path in written:
        assert any(path == constant or path.is_relative_to(constant) for constant in constants), (
            path
        )


def ignored(path: str) -> bool:
    """Whether Git ignores a path that is not there yet."""
    command = ["git", "check-ignore", "-q", path]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_no_output_with_patients_data_can_be_committed() -> None:
    """Git ignores every output that DVC caches, whatever .gitignore files DVC writes. Outputs with
    `cache: false` are numbers, and Git keeps them."""
    kept = set()
    for stage, content in STAGES.items():
        for kind in ("outs", "metrics", "plots"):
            for entry in content.get(kind, []):
                in_git = isinstance(entry, dict) and {"cache": False} in entry.values()
                for path in filled(entry):
                    assert ignored(path) != in_git, f"{path} of {stage}"
                kept |= set(filled(entry)) if in_git else set()
    numbers = {f"metrics/{stage}/metrics.json" for stage in PIPELINE} | {
        f"metrics/{stage}/{OBJECTIVE}/metrics.json" for stage in PIPELINE
    }
    assert kept - numbers == {"metrics/summary.json"}
    assert len(kept) == 10


def test_dvc_shows_one_file_of_metrics() -> None:
    shown = {path for stage in STAGES for path in listed(stage, "metrics")}
    assert shown == {str(paths.SUMMARY)}


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (.*)$", text, re.M)[0].split())
    for goal in ([], ["help"]):
        command = ["make", "--no-print-directory", *goal]  # as if `make test` had not started it
        output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found = re.findall(r"^make (\w+) +(\S.*)$", output.stdout, re.M)
        assert {name for name, _ in found} == targets
        assert len(found) == len(output.stdout.splitlines()) == len(targets)
        assert max(map(len, output.stdout.splitlines())) <= 120


def test_a_stage_file_has_at_most_40_lines_and_any_other_module_250() -> None:
    package = SRC / "icu_adversarial"
    for file in package.rglob("*.py"):
        name, lines = str(file.relative_to(package)), len(file.read_text().splitlines())
        assert lines <= (40 if name.startswith("stages/") else 250), name


def test_a_stage_says_what_it_reads_and_writes() -> None:
    for stage in PIPELINE:
        tree = ast.parse((SRC / "icu_adversarial" / "stages" / f"{stage}.py").read_text())
        about = ast.get_docstring(tree) or ""
        assert about.startswith(f"{stage}: "), stage
        assert re.search(r"\b[Rr]eads\s", about), stage
        assert re.search(r"\b[Ww]rites\s", about), stage


def test_imports_run_downhill_only() -> None:
    """A module imports from its own room and from the rooms before it."""
    package = SRC / "icu_adversarial"
    for file in package.rglob("*.py"):
        name = str(file.relative_to(package))
        for module in imports(file) if file.parent != package else ():
            other = file_of(module)
            if other and other.stat().st_size and other.parent != package:
                below = level_of(str(other.relative_to(package)))
                assert below <= level_of(name), f"{name} imports {module}"


def test_no_module_imports_itself_in_a_circle() -> None:
    files = {file: imports(file) for file in (SRC / "icu_adversarial").rglob("*.py")}
    graph = {
        file: {file_of(module) for module in modules} - {file} for file, modules in files.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_only_rooms_that_need_it_import_torch() -> None:
    """Records and features are read on machines without torch, and quickly."""
    for room in ("core", "extract", "features", "measurements", "synthetic", "analyze", "report"):
        for file in (SRC / "icu_adversarial" / room).rglob("*.py"):
            top = re.findall(r"^(?:import|from) (\w+)", file.read_text(), re.M)
            assert "torch" not in top, file


def test_no_results_in_pickles() -> None:
    for file in SRC.rglob("*.py"):
        assert not re.search(
            r"\b(pickle|joblib)\.(load|dump)|torch\.(load|save)\(|allow_pickle=True",
            file.read_text(),
        ), file
