"""`python src/run.py work` and the stage on a real server, with a tiny data set."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from model_world import lay, make_cohort, small
from ruamel.yaml import YAML

from icu_adversarial import cli
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **variables: str) -> str:
    """Run a command in the current folder; return what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "src/run.py", *arguments],
        env=os.environ | {"DVC_ROOT": str(Path.cwd())} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_what_workers_have_run_is_the_result_of_the_stage(
    postgres: str, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker runs three trials before the stage begins, and the stage runs two more."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "src", "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "code_maps", "code_maps")
    lay(*make_cohort(stays=60))

    def settle(trials: int) -> None:
        chosen = small(params, tune_model={"trials": trials}).model_dump(mode="json")
        before: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
        for block in ("window_hours", "split"):
            before[block] = chosen[block]
        for key in ("trials", "folds", "rounds", "epochs_per_round"):
            before["tune_model"][key] = chosen["tune_model"][key]
        before["tune_model"]["first"] |= {"n_lstm": 8, "batch_size": 32}
        before["tune_model"]["space"]["log2_n_lstm"] = {"low": 2, "high": 3}
        YAML(typ="safe").dump(before, tmp_path / "params.yaml")

    settle(3)
    said = run("work", "tune_model", ICU_STUDY_STORAGE=postgres)
    assert "trial 3/3" in Path("logs/work_tune_model.log").read_text()
    assert not paths.TUNE_MODEL.exists()  # the stage writes the result
    settle(5)
    said += run("tune_model", ICU_STUDY_STORAGE=postgres)
    assert "trial 4/5" in Path("logs/tune_model.log").read_text()
    assert "trial 3/5" not in Path("logs/tune_model.log").read_text()
    table = pd.read_parquet(paths.TUNE_MODEL / "trials.parquet")
    assert table["worker"].tolist() == [0, 0, 0, 1, 1]
    found = read_json(paths.METRICS / "tune_model" / "metrics.json")
    assert (found["trials"], found["workers"]) == (5, 2)
    best = read_json(paths.TUNE_MODEL / "best.json")
    assert best["value"] == table.loc[table["state"] == "complete", "value"].min()
    assert not list(Path(".state").rglob("journal*"))
    logs = "".join(file.read_text() for file in Path("logs").iterdir())
    assert "work_tune_model: finished" in logs
    assert "postgres" not in logs + said


@pytest.mark.parametrize("command", [("tune_model",), ("tune_attack", "--objective", "robust_l1")])
def test_a_worker_needs_a_server(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICU_STUDY_STORAGE", raising=False)
    with pytest.raises(InputError, match=f"work {command[0]}: set ICU_STUDY_STORAGE"):
        cli.app(["work", *command], standalone_mode=False)


def test_a_worker_of_the_attack_names_an_objective(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.app(["work", "tune_attack"])
    assert "--objective" in capsys.readouterr().err
