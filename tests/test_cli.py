import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rooms import file_of, module_of

from icu_adversarial import cli

ROOT = Path(__file__).parents[1]


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "src" / "run.py"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_stage_without_importing_torch() -> None:
    done = run("--help")
    assert done.returncode == 0
    studies = ("learning_curve", "literature", "literature_table")
    for stage in (
        "synthesize",
        "extract",
        "preprocess",
        "tune_model",
        "train",
        "evaluate",
        *studies,
        "tune_attack",
        "attack",
        "probe",
        "analyze",
        "summarize",
        "summary",
        "plots_page",
        "figures",
    ):
        assert re.search(rf"\b{stage}\b", done.stdout), stage
    assert "..." not in done.stdout.split("Commands:")[1]  # every line is whole
    assert re.search(r"--debug  +Show", done.stdout)
    assert re.search(r"--help  +Show", done.stdout)
    code = "import sys; sys.path.insert(0, 'src'); import icu_adversarial.cli; print(sorted({'torch', 'pandas', 'optuna', 'duckdb'} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        *("synthesize", "extract", "preprocess", "tune_model", "train", "evaluate"),
        *(f"{stage} --objective robust_l1" for stage in ("tune_attack", "attack", "probe")),
        *("analyze --objective robust_l1", "literature --row sun", "literature_table"),
        *("learning_curve", "nested"),
    ],
)
def test_a_command_runs_the_module_of_its_stage_or_study(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    called: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "load_params", lambda: None)

    def found(name: str) -> SimpleNamespace:
        return SimpleNamespace(run=lambda params, **options: called.append(name))

    monkeypatch.setattr(cli, "import_module", found)
    stage, *options = command.split()
    cli.app([stage, *options], standalone_mode=False)
    assert called == [module_of(stage)]
    assert file_of(called[0]) is not None


def test_usage_errors_exit_with_2() -> None:
    for arguments in (
        ("nonsense",),
        ("attack",),
        ("attack", "--objective", "nonsense"),
        ("literature",),
        ("train", "--nest"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr


def test_an_error_of_the_user_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    """Here: called from a folder that is not the repository's root."""
    done = run("preprocess", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_killed_worker_is_told_in_a_line_and_a_fault_of_the_code_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raised: list[RuntimeError] = [
        TerminatedWorkerError("a worker\nwas killed"),
        RuntimeError("shapes differ"),
    ]

    def stage(_: list[str]) -> None:
        raise raised.pop(0)

    monkeypatch.setattr(cli, "app", stage)
    monkeypatch.setattr(sys, "argv", ["run.py", "train"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (1, "error: a worker was killed\n")
    with pytest.raises(RuntimeError, match="shapes differ"):
        cli.main()


@pytest.mark.parametrize("options", [{}, {"objective": "robust_l0"}])
def test_a_stage_logs_to_a_file_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: dict[str, str]
) -> None:
    ran: list[dict[str, str]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "load_params", lambda: None)
    stage = SimpleNamespace(run=lambda _, **given: ran.append(given))
    monkeypatch.setattr(cli, "import_module", lambda _: stage)
    cli._run("attack", **options)
    assert ran == [options]
    name = "_".join(["attack", *options.values()])
    assert (tmp_path / "logs" / f"{name}.log").read_text().count(f"{name}: ") == 2


def test_a_damaged_summary_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_refuse_another_checkout", lambda: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "summary"])
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    Path("metrics").mkdir()
    Path("metrics/summary.json").write_text("{}")
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == (
        "error: metrics/summary.json is not complete: run `dvc repro`\n"
    )
