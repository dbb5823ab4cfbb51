"""`python src/run.py work` and the stage on a real server, with a tiny data set.

The commands run in this process, one after the other. tests/slurm has workers in processes of
their own.
"""

from pathlib import Path

import pandas as pd
import pytest
from model_world import lay, make_cohort, small, write_params

from icu_adversarial import cli
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.io import read_json


@pytest.mark.usefixtures("_empty_folder")
def test_what_workers_have_run_is_the_result_of_the_stage(
    postgres: str,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A worker runs three trials before the stage begins, and the stage runs two more."""
    monkeypatch.setenv("ICU_STUDY_STORAGE", postgres)
    lay(*make_cohort(stays=60))

    def settle(trials: int) -> None:
        write_params(small(params, tune_model={"trials": trials}))

    settle(3)
    cli.app(["work", "tune_model"], standalone_mode=False)
    assert "trial 3/3" in Path("logs/work_tune_model.log").read_text()
    assert not paths.TUNE_MODEL.exists()  # the stage writes the result
    settle(5)
    cli.app(["tune_model"], standalone_mode=False)
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
    assert "tune_model: finished" in caplog.text
    assert "postgres" not in logs + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("command", [("tune_model",), ("tune_attack", "--objective", "robust_l1")])
def test_a_worker_needs_a_server(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICU_STUDY_STORAGE", raising=False)
    with pytest.raises(InputError, match=f"work {command[0]}: set ICU_STUDY_STORAGE"):
        cli.app(["work", *command], standalone_mode=False)


def test_a_worker_of_the_attack_names_an_objective(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.app(["work", "tune_attack"])
    assert "--objective" in capsys.readouterr().err
