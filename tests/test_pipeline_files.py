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


def listed(stage: str, kind: str) -> list[str]:
    """Paths under deps, outs, metrics or plots, templates filled in."""
    entries = [e if isinstance(e, str) else next(iter(e)) for e in STAGES[stage].get(kind, [])]
    filled = [
        e.replace("${item.objective}", OBJECTIVE).replace("${extract.raw}", "data/raw/synthetic")
        for e in entries
    ]
    filled = [
        e.replace("${extract.code_map}", CODE_MAP).replace("${attack.models}", str(paths.MODELS))
        for e in filled
    ]
    return [
        e.replace("${item.row}", row)
        for e in filled
        for row in (ROWS if "${item.row}" in e else [""])
    ]


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


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_that_a_stage_reads_is_declared_and_no_other(
    stage: str, params: Params
) -> None:
    """`params.train` in the code of the stage needs `train` in dvc.yaml, `params.extract.label` `extract.source`, `params.hours` two keys."""
    code = (SRC / f"{module_of(stage).replace('.', '/')}.py").read_text()
    read = {
        match.rstrip(".") for match in re.findall(r"\bparams\.(?!yaml)((?:[a-z_0-9]+\.?)+)", code)
    }
    if "hours" in read:
        read = read - {"hours"} | {"window_hours", "bin_hours"}
    if "literature.model_of" in read:
        read = read - {"literature.model_of"} | {"literature.model", "literature.rows"}
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
        data = {d for d in listed(stage, "deps") if not d.startswith("src/")}
        assert data - {CODE_MAP} <= written, stage


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


def test_no_output_with_patients_data_can_be_committed() -> None:
    """Every output and plot is ignored by Git, before DVC writes a .gitignore of its own; metrics.json files are not."""
    for stage in STAGES:
        for path in listed(stage, "outs") + listed(stage, "plots"):
            ignored = (
                subprocess.run(
                    ["git", "check-ignore", "-q", path], cwd=ROOT, check=False
                ).returncode
                == 0
            )
            assert ignored, f"{path} of {stage} is not ignored"
        for path in listed(stage, "metrics"):
            assert (
                subprocess.run(
                    ["git", "check-ignore", "-q", path], cwd=ROOT, check=False
                ).returncode
                == 1
            )
            assert STAGES[stage]["metrics"][0][next(iter(STAGES[stage]["metrics"][0]))] == {
                "cache": False
            }


# Files that are still longer.
LONG = (
    "stages/analyze.py",
    "stages/extract.py",
    "stages/preprocess.py",
    "attack/algorithms/l1.py",
    "extract/storage/duck.py",
    "synthetic/hospital.py",
    "tools/fetch.py",
)


def test_a_stage_file_has_at_most_40_lines_and_any_other_module_250() -> None:
    package = SRC / "icu_adversarial"
    for file in package.rglob("*.py"):
        name, lines = str(file.relative_to(package)), len(file.read_text().splitlines())
        if name not in LONG:
            assert lines <= (40 if name.startswith("stages/") else 250), name


def test_a_stage_says_what_it_reads_and_writes() -> None:
    for stage in PIPELINE:
        tree = ast.parse((SRC / "icu_adversarial" / "stages" / f"{stage}.py").read_text())
        about = ast.get_docstring(tree) or ""
        if f"stages/{stage}.py" not in LONG and stage != "synthesize":
            assert about.startswith(f"{stage}: "), stage
            assert re.search(r"\bReads\s", about), stage
            assert re.search(r"\bWrites\s", about), stage


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
    for room in ("core", "extract", "features", "measurements", "synthetic", "analyze"):
        for file in (SRC / "icu_adversarial" / room).rglob("*.py"):
            top = re.findall(r"^(?:import|from) (\w+)", file.read_text(), re.M)
            assert "torch" not in top, file


def test_no_results_in_pickles() -> None:
    for file in SRC.rglob("*.py"):
        assert not re.search(
            r"\b(pickle|joblib)\.(load|dump)|torch\.(load|save)\(|allow_pickle=True",
            file.read_text(),
        ), file
