"""Every command of the documentation works: `bash` blocks are run, all others are parsed."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from distributed.cli.dask_scheduler import main as dask_scheduler
from distributed.cli.dask_worker import main as dask_worker
from docs_pages import ROOT, Block, blocks, commands, pages
from dvc.cli.parser import get_main_parser
from ruamel.yaml import YAML
from test_repro import ENVIRONMENT, clone, recorded, reproduced, run  # noqa: F401 (fixtures)

from docs.generate import outputs
from icu_adversarial.cli import app

LANGUAGES = {"bash", "sh", "text", "python", "mermaid", ""}
PROGRAMS = ("python", "dvc", "make", "git", "pip", ".peers/bin/python", "sbatch", "dask")
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
WITH_BASH = [page for page in pages() if any(b.language == "bash" for b in blocks(page))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_command(code: str) -> bool:
    """Whether a line or a piece of code starts with a program that the documentation uses."""
    return code.startswith(tuple(f"{program} " for program in PROGRAMS))


def inline(page: Path) -> list[str]:
    """The commands in running text and in tables. `dvc exp run -S` alone names the option."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    found = re.findall(r"`([^`]+)`", text)
    return [" ".join(code.removesuffix(" -S").split()) for code in found if is_command(code)]


def check_settings(arguments: list[str]) -> None:
    """The keys after -S are in params.yaml."""
    for flag, setting in itertools.pairwise(arguments):
        if flag == "-S":
            block: Any = YAML(typ="safe").load(ROOT / "params.yaml")
            for part in setting.partition("=")[0].split("."):
                assert part in block, f"params.yaml has no {setting}"
                block = block[part]


def check_python(arguments: list[str]) -> None:
    """A command of run.py with its options, a script with its options, or a module."""
    if arguments[:2] == ["-m", "icu_adversarial.tools.dask_worker"]:
        dask_worker.make_context("worker", arguments[2:])
        return
    if arguments[0] == "-m":
        assert arguments[1] in ("pytest", "plots", "docs.generate"), arguments
        return
    script = ROOT / arguments[0]
    assert script.is_file(), script
    options = [a for a in arguments[1:] if a.startswith("--")]
    if script.name != "run.py":
        code = "".join(file.read_text() for file in script.parent.glob("*.py"))
        assert not [o for o in options if f'"{o}"' not in code], arguments
        return
    given = [a for a in arguments[1:] if a != "--debug"]
    if given and not given[0].isupper():
        command: Any = typer.main.get_command(app)
        while given and given != ["--help"] and hasattr(command, "commands"):
            command, given = command.commands[given[0]], given[1:]
        if not hasattr(command, "commands"):
            command.make_context(script.name, given)


def check_job(arguments: list[str]) -> None:
    """The script of a job exists, and the command that it runs. `--wrap` is a command by itself."""
    own = list(itertools.takewhile(lambda a: a.startswith("--"), arguments))
    script, *rest = arguments[len(own) :] or [""]
    for wrapped in [a.removeprefix("--wrap=") for a in own if a.startswith("--wrap=")]:
        assert not script
        check_command(wrapped)
        return
    (command,) = re.findall(r'^exec (.*) "\$@"$', (ROOT / script).read_text(), re.M)
    check_command(shlex.join([*shlex.split(command), *rest]))


def check_command(line: str) -> None:
    """What a command names exists. Nothing is run."""
    line = line.removeprefix("PYTHONPATH=src ")
    line = re.sub(r"\$\(cat (\S+)\)", lambda m: (ROOT / m[1]).read_text().replace("\n", " "), line)
    for part in re.split(r"\s&&\s", line.split(" > ")[0]):
        program, *arguments = shlex.split(part)
        match program:
            case "python" | ".peers/bin/python":
                check_python(arguments)
            case "dvc":
                get_main_parser().parse_args(arguments)
                check_settings(arguments)
            case "make":
                names = [a for a in arguments if "=" not in a]
                assert set(names) <= TARGETS, line
                for setting in set(arguments) - set(names):
                    assert (ROOT / "profiles" / setting.removeprefix("PROFILE=")).is_file(), line
            case "git":
                assert arguments[0] in ("checkout", "diff", "add", "status", "clone"), line
            case "pip":
                assert arguments[:1] == ["install"], line
            case "tail":
                written = [file for s in outputs.stages().values() for file in outputs.files(s)]
                known = (*written, *(f"logs/{stage}.log" for stage in outputs.stages()))
                assert arguments[-1].startswith(known), line
            case "export":
                name = arguments[0].partition("=")[0]
                modules = (ROOT / "src").rglob("*.py")
                assert any(f'"{name}"' in module.read_text() for module in modules), line
            case "sbatch":
                check_job(arguments)
            case "dask":
                assert arguments[0] == "scheduler", line
                dask_scheduler.make_context("scheduler", arguments[1:])
            case "optuna-dashboard":  # it is not in the environment
                (place,) = arguments
                assert place.startswith((".state/", "postgresql+psycopg://")), line
            case "jupyter":
                assert arguments[0] == "lab", line
                assert (ROOT / arguments[1]).is_file(), line
            case "source":
                assert arguments == [".venv/bin/activate"], line
            case _:
                pytest.fail(f"unknown command: {line}")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_what_a_command_names_exists(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, block
        for line in commands(block):
            if block.language == "sh" or (not block.language and is_command(line)):
                check_command(line)
    for line in inline(page):
        check_command(line)


@pytest.mark.parametrize(
    "line",
    [
        "python src/run.py analyse",
        "python src/run.py figures",
        "python src/run.py fetch challenge2012 --quick",
        "python benchmarks/models.py FOLDER --no-such-option",
        "python benchmarks/no_such_script.py",
        "dvc exp run -S train.epoch=3",
        "dvc exp run --no-such-option",
        "dvc no-such-command",
        "make no_such_target",
        "make repro PROFILE=none",
        "sudo rm",
        "export ICU_NO_SUCH_VARIABLE=1",
        "sbatch slurm/no_such_script.sh",
        "sbatch slurm/repro.sh --no-such-option",
        "sbatch slurm/workers.sh no_such_stage",
        "sbatch --wrap='python slurm/cluster.py --no-such-option dvc repro'",
        "dask scheduler --no-such-option",
    ],
)
def test_a_wrong_command_is_found(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((AssertionError, Exception, SystemExit, pytest.fail.Exception)):
        check_command(line)


@pytest.fixture(scope="module")
def place(recorded: Path) -> Path:  # noqa: F811
    """A clone with a finished tiny run, and an environment where `make setup` has nothing to do."""
    (recorded / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (recorded / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (recorded / ".venv" / ".ready").touch()
    run(recorded, sys.executable, "src/run.py", "plots_page")
    return recorded


@pytest.fixture
def fresh(place: Path) -> Path:
    """The same, as it was at first."""
    run(place, "git", "checkout", "--quiet", ".")
    run(place, "dvc", "checkout", "--force", "--quiet")
    return place


@pytest.fixture(scope="module")
def ran() -> set[str]:
    """The blocks that have been run."""
    return set()


@pytest.mark.parametrize("page", WITH_BASH, ids=name_of)
def test_every_bash_block_of_a_page_runs(page: Path, fresh: Path, ran: set[str]) -> None:
    """A block that several pages share runs once."""
    for block in [b for b in blocks(page) if b.language == "bash" and b.text not in ran]:
        ran.add(block.text)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=fresh,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_the_pages_have_commands_to_run() -> None:
    found: list[Block] = [b for page in WITH_BASH for b in blocks(page) if b.language == "bash"]
    assert len(found) >= 15


def test_the_tables_of_a_run_have_the_columns_that_the_page_of_outputs_describes(
    fresh: Path,
) -> None:
    for stage in (outputs.stages() | outputs.studies()).values():
        for file in outputs.files(stage):
            path = fresh / file.replace("OBJECTIVE", "robust_l1").replace("ROW", "sun")
            assert path.exists(), path
            if path.suffix == ".csv":
                head = set(path.read_text(encoding="utf-8").split("\n", 1)[0].split(","))
                own = outputs.descriptions()["files"][file].get("columns", {})
                assert set(own) <= head <= set(outputs.known_columns(file)), file
