"""The scripts of slurm/ with a stand-in for Slurm: its jobs are processes of this machine."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from model_world import lay, lay_repository, make_cohort, small, write_params
from optuna.storages import RDBStorage

from icu_adversarial.config.params import Params
from icu_adversarial.search.journal import ENDED
from icu_adversarial.search.server import server_url

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "slurm"
STAND_IN = Path(__file__).with_name("stand_in.py")
SUM = """
from joblib import delayed
from icu_adversarial.core.parallel import workers
print(sum(workers()(delayed(pow)(2, n) for n in range(9))))
raise SystemExit(3)
"""


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and `sbatch` and `scancel` on PATH. The folder of their jobs."""
    programs, spool = tmp_path / "bin", tmp_path / "spool"
    for folder in (programs, spool, here := tmp_path / "größe und raum"):
        folder.mkdir()
    for name in ("sbatch", "scancel"):
        command = shlex.join([sys.executable, str(STAND_IN), name, str(spool)])
        write_program(programs / name, f'exec {command} "$@"')
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("DVC_ROOT", str(here))
    monkeypatch.chdir(here)
    return spool


def write_program(file: Path, command: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{command}\n")
    file.chmod(0o755)


def run(*command: str | Path, fails: int = 0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == fails, done.stdout + done.stderr
    return done.stdout


def test_a_job_runs_the_pipeline_on_its_cores_in_the_environment_of_the_repository(
    spool: Path,
) -> None:
    write_program(Path(".venv/bin/dvc"), 'echo "$LOKY_MAX_CPU_COUNT cores, dvc $*"; exit 7')
    run("sbatch", "--wait", "--cpus-per-task=3", SLURM / "repro.sh", "--force", "attack", fails=7)
    assert Path("slurm-repro-1.out").read_text() == "3 cores, dvc repro --force attack\n"
    run("sbatch", "--wait", SLURM / "repro.sh", fails=7)
    assert Path("slurm-repro-2.out").read_text() == "16 cores, dvc repro\n"


def test_the_stand_in_refuses_an_option_that_slurm_does_not_have(spool: Path) -> None:
    Path("wrong.sh").write_text("#!/bin/sh\n#SBATCH --cores=3\n")
    run("sbatch", "--wait", "wrong.sh", fails=2)


def test_the_tasks_of_an_array_work_on_one_search(
    spool: Path, postgres: str, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_repository()
    lay(*make_cohort(seed=1, stays=60))
    write_params(small(params, tune_model={"trials": 4}))
    monkeypatch.setenv("ICU_STUDY_STORAGE", postgres)
    storage = RDBStorage(str(server_url()))
    before = set(optuna.get_all_study_names(storage))
    one_core = ("--array=1-2", "--cpus-per-task=1")
    run("sbatch", "--wait", *one_core, SLURM / "workers.sh", "tune_model")
    (name,) = set(optuna.get_all_study_names(storage)) - before
    trials = optuna.load_study(study_name=name, storage=storage).trials
    storage.engine.dispose()
    assert sum(trial.state in ENDED for trial in trials) == 4
    for task in (1, 2):
        log = Path(f"logs/work_tune_model_{task}.log").read_text()
        assert f"work_tune_model_{task}: finished" in log
        assert Path(f"slurm-workers-1-{task}.out").exists()


def test_the_jobs_of_a_cluster_serve_a_command_and_end_with_it(spool: Path) -> None:
    Path("program.py").write_text(SUM)
    program = ("env", f"PYTHONPATH={ROOT / 'src'}", sys.executable, "program.py")
    asked = ("--jobs", "1", "--cores", "2", "--memory", "4GB")
    said = run(sys.executable, SLURM / "cluster.py", *asked, *program, fails=3)
    assert said == "511\n"
    script = (spool / "1" / "slurm_script").read_text()
    assert "#SBATCH --cpus-per-task=2\n#SBATCH --mem=4G\n#SBATCH -t 1-00:00:00\n" in script
    assert (spool / "1" / "cancelled").exists()
