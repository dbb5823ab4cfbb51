"""What DVC shows of a sweep on a terminal of 120 characters: the scores and the changed setting.

The repository here has two quick stages in place of the pipeline, so that all numbers of the
summary change. tests/test_repro.py reads the same tables after an experiment of the real pipeline.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from terminal import screen

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))},
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT / "src"),
    **{f"GIT_{who}_NAME": "test" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "test@example.org" for who in ("AUTHOR", "COMMITTER")},
}
SHOW = ("dvc", "exp", "show", "--only-changed", "--no-pager")
DROP = ("--drop", "Created|State|Executor|.*/")  # as docs/experiments.md says
PIPELINE = """
stages:
  attack:
    cmd: python stage.py
    params: [train, tune_model]
    deps: [code_maps/mimiciv_meds.csv]
    outs: [data/attack.json]
  summarize:
    cmd: cp data/attack.json metrics/summary.json
    deps: [data/attack.json]
    metrics:
      - metrics/summary.json: {cache: false}
"""
STAGE = """
from pathlib import Path
from ruamel.yaml import YAML
from icu_adversarial.analyze.overview import overview
from icu_adversarial.core.io import write_json

params = YAML(typ="safe").load(Path("params.yaml"))
if params["train"]["epochs"] == 6:
    raise SystemExit("this experiment fails")
n = params["train"]["epochs"] + params["tune_model"]["space"]["log2_n_lstm"]["high"]
interval = {"value": 0.8 + n / 999, "low": 0.7, "high": 0.95}
scores = {"auroc": interval, "auprc": interval}
model = {
    "source": "synthetic", "outcome": "death in the hospital", "warning": None,
    "stays": {"training": 9, "test": 9}, "deaths": {"training": 3, "test": 3},
    "test": {"network": scores, "gradient_boosting": scores},
}
row = {"attacked": 400, "flipped": 400 - n, "median_changed_values": n + 0.5, "most_susceptible": []}
directions = [{"direction": "0→1", **row}, {"direction": "1→0", **row}]
Path("metrics").mkdir(exist_ok=True)
write_json(Path("data/attack.json"), overview(model, [{"objective": "l1", "directions": directions}]))
"""


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the project's params.yaml and the results of one run, committed."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "code_maps", folder / "code_maps")  # DVC never hides the first of them
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "stage.py").write_text(STAGE)
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")
    run(folder, "dvc", "repro")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message=results")
    return folder


def header(text: str) -> list[str]:
    """The names of the columns, in a table of `dvc exp show`."""
    assert max(map(len, text.splitlines())) <= 120, text
    return next(line for line in text.splitlines() if "Experiment" in line).split()


def output(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def queued(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After a queue with three values of one setting, of which the second one fails."""
    folder = shutil.copytree(repository, tmp_path_factory.mktemp("queued") / "repository")
    run(folder, "dvc", "exp", "run", "--queue", "-S", "train.epochs=4,6,8")
    run(folder, "dvc", "queue", "start", "--jobs", "2")
    deadline = time.monotonic() + 120
    while re.search("Queued|Running", status := output(folder, "dvc", "queue", "status")):
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert sorted(re.findall(r"Success|Failed", status)) == ["Failed", "Success", "Success"]
    run(folder, "dvc", "queue", "remove", "--failed")
    return folder


def test_a_queue_shows_scores_and_setting(queued: Path) -> None:
    text = screen(queued, *SHOW, environment=ENVIRONMENT)
    scores = ["auroc", "auprc", "flipped", "changed"]
    assert header(text)[:9] == [
        *("Experiment", "Created", "State", "Executor"),
        *scores,
        "train.epochs",
    ]
    rows = [row.split() for row in re.findall(r"\[\S+\] .*", text)]
    assert {row[-2] for row in rows} == {"4", "8"}
    assert len({row[-6] for row in rows}) == 2  # the AUROC; the last one is …, the hidden hashes


def test_the_pager_shows_them_within_the_first_120_characters(queued: Path) -> None:
    """Where the output is no terminal, DVC writes the whole lines that the pager would cut."""
    command = ("dvc", "exp", "show", "--only-changed")
    shown = "\n".join(line[:120] for line in output(queued, *command).splitlines())
    assert header(shown)[4:9] == ["auroc", "auprc", "flipped", "changed", "train.epochs"]


def test_the_documented_command_has_room_for_a_long_name(repository: Path) -> None:
    """And no column of a file's hash."""
    page = (ROOT / "docs" / "experiments.md").read_text()
    assert " ".join(SHOW[:4]) in page
    assert f"{DROP[0]} '{DROP[1]}'" in page
    name = "tune_model.space.log2_n_lstm.high"
    run(repository, "dvc", "exp", "run", "-S", f"{name}=9")
    text = screen(repository, *SHOW, *DROP, environment=ENVIRONMENT)
    assert header(text) == ["Experiment", "auroc", "auprc", "flipped", "changed", name]


def test_differences_of_two_experiments_fit_too(queued: Path) -> None:
    names = output(queued, "dvc", "exp", "list", "--name-only").split()
    assert len(names) == 2
    metrics = screen(queued, "dvc", "metrics", "diff", *names, environment=ENVIRONMENT)
    params = screen(queued, "dvc", "params", "diff", *names, environment=ENVIRONMENT)
    assert max(map(len, (metrics + params).splitlines())) <= 120
    assert [line.split()[1] for line in metrics.splitlines()[1:]] == [
        "auprc",
        "auroc",
        "changed",
        "flipped",
    ]
    assert [line.split()[1] for line in params.splitlines()[1:]] == ["train.epochs"]


def test_an_experiment_can_be_applied_and_become_a_branch(queued: Path) -> None:
    first, second = output(queued, "dvc", "exp", "list", "--name-only").split()
    epochs = {}
    for name in (first, second):
        run(queued, "dvc", "exp", "apply", name)
        (value,) = re.findall(r"epochs: (\d+)", (queued / "params.yaml").read_text())[:1]
        epochs[name] = value
    assert set(epochs.values()) == {"4", "8"}
    run(queued, "dvc", "exp", "branch", first, "kept")
    kept = output(queued, "git", "show", "kept:params.yaml")
    assert re.findall(r"epochs: (\d+)", kept)[0] == epochs[first]
    assert output(queued, "dvc", "status").startswith("Data and pipelines are up to date")
