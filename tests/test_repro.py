"""The whole pipeline, as a user runs it: a fresh clone, real `dvc repro`, a tiny profile. Byte-identical however often it runs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from ruamel.yaml import YAML
from terminal import screen

from icu_adversarial.core.cpu import CODE_PATHS, ONE_THREAD
from icu_adversarial.core.schemas import (
    COHORT,
    EVENTS,
    EXAMPLES,
    PERTURBATIONS,
    PREDICTIONS,
    STAYS,
    read_table,
)

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DVC_", "GIT_")) and name not in (*CODE_PATHS, *ONE_THREAD)
    },
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "LOKY_MAX_CPU_COUNT": "1",  # a stage is one process: every other one imports torch again
}
TWO_PROCESSES = {"LOKY_MAX_CPU_COUNT": "2"}
SETTINGS = [
    line.removeprefix("-S ") for line in (ROOT / "profiles" / "tiny").read_text().splitlines()
]
MAKE_REPRO = ("make", "--old-file=.venv/.ready", "repro")  # `make setup` has nothing to do
Clone = Callable[..., Path]


def run(folder: Path, *command: str, fails: bool = False, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, (
        f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """clone("name", "train.epochs=2", …): a fresh clone of the working tree's files with a profile (tiny) and further settings, committed."""
    source = tmp_path_factory.mktemp("source") / "repository"
    for name in subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True
    ).splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    run(source, "git", "init", "--quiet", "--initial-branch=main")
    run(source, "git", "add", "--all")
    run(source, "git", "commit", "--quiet", "--message=as it is")

    def make(name: str, *settings: str, profile: Sequence[str] = SETTINGS) -> Path:
        folder = tmp_path_factory.mktemp(name) / "repository"
        run(source, "git", "clone", "--quiet", str(source), str(folder))
        yaml = YAML()
        params = yaml.load(folder / "params.yaml")
        for setting in [*profile, *settings]:
            key, _, value = setting.partition("=")
            *path, last = key.split(".")
            block = params
            for part in path:
                block = block[part]
            assert last in block, key
            block[last] = YAML(typ="safe").load(value)
        if profile or settings:
            yaml.dump(params, folder / "params.yaml")
        run(folder, "git", "commit", "--quiet", "--all", "--allow-empty", "--message=tiny")
        return folder

    return make


@pytest.fixture(scope="session")
def reproduced(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline by `make repro`, then the studies, each by the command that its file names.

    All test processes share the folder: the first one that asks for it makes it. What `make repro`
    prints is in the file make_repro.txt next to the folder.
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "reproduced.lock"):
        finished = shared / "reproduced.txt"
        if not finished.exists():
            folder = clone("first")
            printed = run(folder, *MAKE_REPRO)
            (folder.parent / "make_repro.txt").write_text(printed)
            for study in studies(folder):
                assert f"`dvc repro {study}`" in (folder / study).read_text()
                run(folder, "dvc", "repro", study)
            finished.write_text(str(folder))
    return Path(finished.read_text())


def studies(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in (folder / "studies").glob("*/dvc.yaml"))


def metrics(folder: Path, stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics" / stage / "metrics.json").read_text())
    return content


STAGES = """
import json, sys
sys.path.insert(0, "src")
from icu_adversarial.core.cpu import fix_code_paths
fix_code_paths()
from icu_adversarial.cli import app
for arguments in json.load(sys.stdin):
    app(arguments, standalone_mode=False)
"""


def run_stages(folder: Path, commands: list[list[str]], **environment: str) -> str:
    """Run stages and other commands of src/run.py in one process: torch is imported once."""
    done = subprocess.run(
        [sys.executable, "-c", STAGES],
        cwd=folder,
        env=ENVIRONMENT | environment,
        input=json.dumps(commands),
        text=True,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


# The libraries and the C library take the code for a processor without AVX-512.
OLDER_PROCESSOR = CODE_PATHS | {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"
}


def test_another_clone_gives_the_same_bytes_in_two_processes_on_an_older_processor(
    reproduced: Path, clone: Clone
) -> None:
    """The first run has one process for each stage, and takes the code that the libraries choose
    for the processor of this machine. Here one process runs all stages, with two that help it."""
    second, commands, count = clone("second"), [], {}
    for file in ["dvc.yaml", *studies(reproduced)]:
        stages = YAML(typ="safe").load((reproduced / file).with_suffix(".lock"))["stages"]
        known = YAML(typ="safe").load(reproduced / file)["stages"]
        assert {name.split("@")[0] for name in stages} == set(known)
        for stage in known:  # in the order of the data
            ran = [about["cmd"] for name, about in stages.items() if name.split("@")[0] == stage]
            commands += [command.removeprefix("python src/run.py ").split() for command in ran]
            count[stage] = len(ran)
    assert (count["literature"], count["attack"], count["nested"]) == (8, 2, 1)
    shutil.rmtree(second / "metrics")
    run_stages(second, commands, **OLDER_PROCESSOR, **TWO_PROCESSES)
    one, other = (
        {
            file.relative_to(folder): file.read_bytes()
            for part in ("data", "metrics")
            for file in (folder / part).rglob("*")
            if file.is_file()
        }
        for folder in (reproduced, second)
    )
    assert len(one) > 100
    assert not [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


def test_all_that_is_made_of_patients_is_ignored_by_git(reproduced: Path) -> None:
    """Whether or not DVC lists it: every file below data but README, and of metrics all but the numbers in metrics.json."""
    made = [
        str(file.relative_to(reproduced))
        for folder in ("data", "metrics")
        for file in (reproduced / folder).rglob("*")
        if file.is_file()
    ]
    ignored = set(run(reproduced, "git", "check-ignore", "--no-index", *made).splitlines())
    stages = YAML(typ="safe").load(reproduced / "dvc.yaml")["stages"]
    assert {name for name in made if name not in ignored} == {"data/README.md"} | {
        name for name in made if Path(name).name == "metrics.json" and name.split("/")[1] in stages
    } | {"metrics/summary.json"}
    assert {
        "data/literature/sun/predictions.parquet",
        "metrics/literature_table/table.md",
        "metrics/learning_curve/plots/learning_curve.csv",
    } <= ignored


def test_nothing_but_metrics_and_the_lock_is_left_for_git(reproduced: Path) -> None:
    changed = run(reproduced, "git", "status", "--porcelain", "--untracked-files=all").splitlines()
    names = {line[3:] for line in changed}
    locks = {study.replace(".yaml", ".lock") for study in studies(reproduced)}
    assert names <= {"dvc.lock"} | locks | {
        str(p.relative_to(reproduced))
        for name in ("metrics.json", "summary.json")
        for p in (reproduced / "metrics").rglob(name)
    }


def test_the_committed_lock_is_that_of_the_committed_code_and_parameters(clone: Clone) -> None:
    output = run(clone("as-committed", profile=()), "dvc", "repro", "--dry", "--allow-missing")
    assert "Running stage" not in output
    assert output.count("didn't change, skipping") == 17  # 9 stages, and 4 for each objective


def test_lock_holds_no_machine(reproduced: Path) -> None:
    """No absolute path in anything that is committed or cached as text."""
    texts = [
        reproduced / "dvc.lock",
        *(
            p
            for p in (reproduced / "metrics").rglob("*")
            if p.suffix in {".json", ".csv", ".tsv", ".md"}
        ),
    ]
    assert len(texts) > 20
    for text in texts:
        assert str(reproduced) not in text.read_text(), text
        assert str(Path.home()) + "/" not in text.read_text(), text


def test_every_table_keeps_its_contract_and_tells_one_story(reproduced: Path) -> None:
    data = reproduced / "data"
    stays, events = (
        read_table(data / "extract/stays.parquet", STAYS),
        read_table(data / "extract/events.parquet", EVENTS),
    )
    assert len(stays) == 400
    assert events["hour"].between(0, 48, inclusive="left").all()
    ordered = events.assign(measurement=events["measurement"].astype(str)).sort_values(
        ["stay_id", "hour", "measurement", "value"]
    )
    assert (ordered.index == events.index).all()
    cohort, grid = (
        read_table(data / "preprocess/stays.parquet", COHORT),
        np.load(data / "preprocess/grid.npy"),
    )
    assert grid.shape == (len(cohort), 48, 19)
    assert grid.dtype == np.float32
    predictions = read_table(data / "train/predictions.parquet", PREDICTIONS)
    assert (predictions["stay_id"] == cohort["stay_id"]).all()
    assert ((predictions["split"] == "test") == cohort["is_test"]).all()
    truth = cohort.set_index("stay_id")["died"]
    for objective in ("robust_l1", "robust_l0"):
        examples = read_table(data / "attack" / objective / "examples.parquet", EXAMPLES)
        cells = read_table(data / "attack" / objective / "perturbations.parquet", PERTURBATIONS)
        attacked = predictions.set_index("stay_id").loc[examples["stay_id"]]
        assert (attacked["split"] == "oof").all()  # a test stay is never attacked here
        assert (attacked["predicted"] == attacked["died"]).all()
        assert (attacked["fold"].to_numpy() == examples["fold"].to_numpy()).all()
        assert (
            (examples["direction"] == "1→0").to_numpy() == truth.loc[examples["stay_id"]].to_numpy()
        ).all()
        counted = cells.groupby(["stay_id", "kind"]).size()
        flipped = examples[examples["success"]].set_index(["stay_id", "kind"])
        assert len(flipped) > 4
        pd.testing.assert_series_equal(
            counted.sort_index(), flipped["l0"].astype(int).sort_index(), check_names=False
        )
        norms = (
            cells["delta"].abs().groupby([cells["stay_id"], cells["kind"]]).sum().loc[flipped.index]
        )
        np.testing.assert_allclose(norms, flipped["l1"], rtol=1e-5)


def test_the_comparison_has_every_model_once_and_only_held_out_scores_have_a_test_set(
    reproduced: Path,
) -> None:
    table = (reproduced / "metrics/literature_table/table.md").read_text()
    lines = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:]
        for line in table.splitlines()
        if line.startswith("| ")
    }
    head = lines.pop("model")
    rows = YAML(typ="safe").load(reproduced / "params.yaml")["literature"]["rows"]
    assert list(lines)[:8] == [row["label"] for row in rows.values()]
    assert len(lines) == 8 + 3  # the network of this pipeline and two baselines
    cohort = read_table(reproduced / "data/preprocess/stays.parquet", COHORT)
    for name, row in rows.items():
        found = metrics(reproduced, f"literature/{name}")
        cells = dict(zip(head, lines[row["label"]], strict=True))
        score = found["folds"]["auroc"]
        shown = "{mean:.3f} ± {sd:.3f}".format(**score)
        if score.get("standard_error") is not None:
            shown += f" ({score['standard_error']:.3f})"
        assert cells["AUROC, folds"] == shown
        assert (
            (cells["AUROC, test"] == "none") == (name == "prior_leaky") == (found["test"] is None)
        )
        assert len(found["epochs"]) == 3
        predictions = read_table(
            reproduced / "data/literature" / name / "predictions.parquet", PREDICTIONS
        )
        assert (predictions["stay_id"] == cohort["stay_id"]).all()
        assert (predictions["fold"] == cohort["fold"]).all()
    figure = pd.read_csv(reproduced / "metrics/literature_table/plots/literature.csv")
    assert set(figure["model"]) == set(lines)
    assert set(figure.loc[figure["model"].str.contains("NOT"), "kind"].str.split(":").str[0]) == {
        "LEAK",
        "published",
    }


def test_the_learning_curve_ends_with_what_train_found(reproduced: Path) -> None:
    curve = pd.read_csv(reproduced / "metrics/learning_curve/plots/learning_curve.csv")
    assert curve.groupby(["model", "score"])["share"].apply(list).map(tuple).unique().tolist() == [
        (0.5, 1.0)
    ]
    assert sorted(curve["model"].unique()) == [
        "gradient boosting",
        "logistic regression",
        "network",
    ]
    half, whole = (curve.loc[curve["share"] == share, "stays"].unique() for share in (0.5, 1.0))
    assert half == pytest.approx(whole / 2, rel=0.1)
    trained = metrics(reproduced, "evaluate")["folds"]
    for name, scored in trained.items():
        end = curve[(curve["share"] == 1) & (curve["model"] == name.replace("_", " "))].set_index(
            "score"
        )["mean"]
        assert end.to_dict() == pytest.approx(
            {score: scored[score]["mean"] for score in ("auroc", "auprc")}
        )


def test_a_stored_flip_flips_again_from_disk(reproduced: Path) -> None:
    """With nothing but the files: grid, scaler, network and perturbation."""
    import torch
    from literature_set import NAMES

    from icu_adversarial.features.scaling import Scaler
    from icu_adversarial.model.networks.storage import load_model

    data = reproduced / "data"
    cohort, grid = (
        read_table(data / "preprocess/stays.parquet", COHORT),
        np.load(data / "preprocess/grid.npy"),
    )
    examples = read_table(data / "attack/robust_l1/examples.parquet", EXAMPLES)
    cells = read_table(data / "attack/robust_l1/perturbations.parquet", PERTURBATIONS)
    row = dict(zip(cohort["stay_id"], range(len(cohort)), strict=True))
    for example in examples[examples["success"]].itertuples():
        folder = data / "train/models" / f"fold_{example.fold}"
        scaler = Scaler.load(folder / "scaler.json")
        record, stay = grid[[row[example.stay_id]]], cohort.iloc[[row[example.stay_id]]]
        x = scaler.apply(record, stay)
        own = cells[(cells["stay_id"] == example.stay_id) & (cells["kind"] == example.kind)]
        column = [NAMES.index(m) for m in own["measurement"]]
        edited = record.copy()
        edited[0, own["hour"], column] += own["delta_clinical"].to_numpy()
        perturbed = scaler.apply(edited, stay)
        np.testing.assert_allclose(
            perturbed[0, own["hour"], column],
            x[0, own["hour"], column] + own["delta"].to_numpy(),
            atol=1e-5,
        )
        with torch.no_grad():
            before, after = (
                load_model(folder)(torch.from_numpy(v)).argmax().item() for v in (x, perturbed)
            )
        assert (before, after) == ((0, 1) if example.direction == "0→1" else (1, 0))


def test_training_killed_with_sigkill_goes_on_to_the_same_bytes(
    reproduced: Path, clone: Clone
) -> None:
    folder = clone("killed")
    for name in ("preprocess", "tune_model"):
        shutil.copytree(reproduced / "data" / name, folder / "data" / name)
    command = [sys.executable, "src/run.py", "train"]
    environment = ENVIRONMENT | TWO_PROCESSES
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while not list((folder / ".state").glob("train/*/fold_0.safetensors")):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)  # the workers too
    assert not (folder / "data/train").exists()
    run(folder, *command)  # in one process: nor does the number of processes matter
    for file in sorted((reproduced / "data/train").rglob("*.*")):
        assert (folder / file.relative_to(reproduced)).read_bytes() == file.read_bytes(), file
    assert not list(
        (folder / ".state" / "train").iterdir()
    )  # no checkpoint is left of a finished run


def test_an_event_after_hour_48_changes_no_output_byte(reproduced: Path, clone: Clone) -> None:
    """Every value that was charted or drawn 48 hours or more after the last ICU admission of its subject is made absurd."""
    folder = clone("later")
    raw = folder / "data/raw/synthetic"
    shutil.copytree(reproduced / "data/raw/synthetic", raw)
    last = pd.read_parquet(raw / "ICUSTAYS.parquet").groupby("subject_id")["intime"].max()
    changed = 0
    for name in ("CHARTEVENTS", "LABEVENTS"):
        table = pd.read_parquet(raw / f"{name}.parquet")
        later = table["charttime"] >= table["subject_id"].map(last) + pd.Timedelta(hours=48)
        table.loc[later, "valuenum"] = 77.0
        table.to_parquet(raw / f"{name}.parquet")
        changed += int(later.sum())
    assert changed > 1000
    run(folder, sys.executable, "src/run.py", "extract")
    for file in ("stays.parquet", "events.parquet"):
        assert (folder / "data/extract" / file).read_bytes() == (
            reproduced / "data/extract" / file
        ).read_bytes()


def test_options_of_the_attack_are_not_ignored(reproduced: Path, clone: Clone) -> None:
    folder = clone(
        "options", "attack.max_stays=10", "attack.attack_misclassified=true", "attack.seed=5"
    )
    shutil.copytree(reproduced / "data", folder / "data", dirs_exist_ok=True)
    run(folder, sys.executable, "src/run.py", "attack", "--objective", "robust_l1")
    examples = read_table(folder / "data/attack/robust_l1/examples.parquet", EXAMPLES)
    assert examples["stay_id"].nunique() == 10
    before = read_table(reproduced / "data/attack/robust_l1/examples.parquet", EXAMPLES)
    assert set(examples["stay_id"]) - set(before["stay_id"])


@pytest.fixture(scope="session")
def recorded(reproduced: Path, clone: Clone) -> Path:
    """Another clone with the results of the first one committed, and its cache."""
    folder = clone("experiment")
    for file in ["dvc.yaml", *studies(reproduced)]:
        lock = file.replace(".yaml", ".lock")
        shutil.copy(reproduced / lock, folder / lock)
    shutil.copytree(reproduced / "metrics", folder / "metrics", dirs_exist_ok=True)
    run(folder, "dvc", "config", "--local", "cache.dir", str(reproduced / ".dvc" / "cache"))
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message=results")
    return folder


@pytest.fixture(scope="session")
def experiment(recorded: Path) -> str:
    """What `dvc exp run` printed. The experiment `eight` ran in a copy, as queued ones do."""
    changed = ("-S", "attack.max_stays=8")
    output = run(recorded, "dvc", "exp", "run", "--temp", "--name", "eight", *changed)
    run(recorded, "dvc", "checkout", "--force", "dvc.yaml")
    return output


def test_an_experiment_in_a_copied_checkout_runs_what_its_setting_touches(experiment: str) -> None:
    """With the code of the copy: the code of another checkout is refused."""
    stages = ("attack", "probe", "analyze")
    assert sorted(re.findall(r"Running stage .(\S+).:", experiment)) == sorted(
        [
            *(f"{stage}@robust_{norm}" for stage in stages for norm in ("l0", "l1")),
            *("summarize", "report"),
        ]
    )


def test_the_gate_compares_a_commit_an_experiment_and_the_workspace(
    recorded: Path, experiment: str
) -> None:
    """The eight stays were attacked in the same way in both."""
    gate = (sys.executable, "src/run.py", "gate")
    tables = [run(recorded, *gate, *pair) for pair in (("HEAD", "eight"), ("eight", "workspace"))]
    for table, new in zip(tables, ("eight", "workspace"), strict=True):
        assert f"Result: {new} is worse in 0 of 8 rows" in table
        assert table.count("+0.0000 (+0.0000 to +0.0000)") == 4
        assert table.count(" not worse\n") == 8
    for wrong, message in (
        ("nowhere", "nowhere is no Git revision and no experiment"),
        ("HEAD~1", "HEAD~1: data/preprocess/stays.parquet is not in the cache of DVC"),
    ):
        told = run(recorded, *gate, wrong, "workspace", fails=True)
        assert told.splitlines()[-1].startswith(f"error: {message}")
        assert "Traceback" not in told


def test_scores_and_setting_of_an_experiment_fit_a_terminal(
    recorded: Path, experiment: str
) -> None:
    """The real numbers, in 120 characters. tests/test_experiments_table.py has a queue."""
    table = screen(
        recorded,
        *("dvc", "exp", "show", "--only-changed", "--no-pager", "--keep", "auroc"),
        environment=ENVIRONMENT,
    )
    assert max(map(len, table.splitlines())) <= 120, table
    names = next(line for line in table.splitlines() if "Experiment" in line).split()
    assert [name for name in names if name != "flipped"][:5] == [
        *("Experiment", "Created", "auroc", "changed", "attack.max_stays"),
    ]
    rows = re.findall(r"(main|\[eight\]).* (8|24) +(?:[\w.]+ +)?… *$", table, re.M)
    assert rows == [("main", "24"), ("[eight]", "8")], table
    for what, found in (("metrics", "changed"), ("params", "attack.max_stays")):
        text = screen(recorded, "dvc", what, "diff", "HEAD", "eight", environment=ENVIRONMENT)
        assert found in text
        assert max(map(len, text.splitlines())) <= 120


def test_make_repro_ends_with_the_summary_also_where_nothing_is_to_be_done(
    reproduced: Path, recorded: Path
) -> None:
    first = (reproduced.parent / "make_repro.txt").read_text()
    run(recorded, "dvc", "checkout", "dvc.yaml")
    second = run(recorded, *MAKE_REPRO, "PROFILE=tiny")
    ran = YAML(typ="safe").load(reproduced / "dvc.lock")["stages"]
    assert sorted(re.findall(r"Running stage .(\S+).:", first)) == sorted(ran)
    assert "Running stage" not in second
    summary = run(recorded, sys.executable, "src/run.py", "summary")
    assert (first.count(summary), second.count(summary)) == (1, 1)
    lines = summary.splitlines()
    assert len(lines) <= 15
    assert lines[-1].startswith("The patients are synthetic.")
    scores = metrics(recorded, "evaluate")["test"]
    for model, name in (("network", "network"), ("gradient_boosting", "gradient boosting")):
        (line,) = [text for text in lines if text.strip().startswith(name)]
        auroc, auprc = scores[model]["auroc"], scores[model]["auprc"]
        assert "{value:.3f} ({low:.3f}–{high:.3f})".format(**auroc) in line
        assert line.endswith("{value:.3f} ({low:.3f}–{high:.3f})".format(**auprc))
    for objective in ("robust_l1", "robust_l0"):
        found = metrics(recorded, f"probe/{objective}")
        rows = [text for text in lines if text.strip().startswith(objective)]
        for direction, row in zip(("0_to_1", "1_to_0"), rows, strict=True):
            assert (
                f"{found[direction]['success_rate']:.1%} of {found[direction]['attacked']}" in row
            )
            assert f"median {found[direction]['median_l0']:g} " in row
        analyzed = metrics(recorded, f"analyze/{objective}")
        for direction, row in zip(("0_to_1", "1_to_0"), rows, strict=True):
            assert f" {analyzed[direction]['best']['top_measurement']}, " in row


def test_another_model_is_attacked_where_its_folder_is_named(recorded: Path) -> None:
    """One of the comparison: no stage before the attack runs, and the maps are of test stays."""
    run(recorded, "dvc", "checkout")
    named = (
        "-S",
        "objectives=[robust_l1]",
        "-S",
        "attack.target=file",
        "-S",
        "attack.models=data/literature/tang_static/models/fold_1",
    )
    output = run(recorded, "dvc", "exp", "run", *named)
    assert {name.split("@")[0] for name in re.findall(r"Running stage .(\S+).:", output)} == {
        "attack",
        "probe",
        "analyze",
        "summarize",
        "report",
    }
    examples = read_table(recorded / "data/attack/robust_l1/examples.parquet", EXAMPLES)
    cohort = read_table(recorded / "data/preprocess/stays.parquet", COHORT).set_index("stay_id")
    assert len(examples) > 10
    assert cohort.loc[examples["stay_id"], "is_test"].all()
    assert examples["fold"].unique().tolist() == [-2]
    patients = pd.read_csv(recorded / "data/analyze/robust_l1/patients.csv")
    assert patients["perturbed"].notna().any()


def test_the_page_of_all_plots_needs_no_network(reproduced: Path, clone: Clone) -> None:
    folder = clone("plots")
    run(folder, sys.executable, "src/run.py", "plots_page")
    shutil.copytree(reproduced / "data", folder / "data", dirs_exist_ok=True)
    shutil.copytree(reproduced / "metrics", folder / "metrics", dirs_exist_ok=True)
    page = Path(
        run(folder, "dvc", "plots", "show", "--out", "page")
        .strip()
        .splitlines()[-1]
        .removeprefix("file://")
    )
    text = page.read_text()
    assert text.count("vegaEmbed(") >= 20
    assert "synthetic hospital (not real patients)" in text
    assert "cdn.jsdelivr" not in text


def test_a_stage_of_another_checkout_is_refused(reproduced: Path, clone: Clone) -> None:
    folder = clone("guard")
    message = run(folder, sys.executable, str(reproduced / "src/run.py"), "extract", fails=True)
    assert "is not of this checkout" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("extract.source=mimiciii", "extract.raw=/nowhere"),
            "/nowhere is not a folder with the raw tables",
        ),
        (("preprocess.min_observed_cells=900",), "preprocess: the cohort has 0 stays"),
        (
            ("split.test_groups=[nowhere]",),
            "split.test_groups: nowhere not among the source groups of the cohort: carevue, metavision",
        ),
        (("split.folds=100",), "100 folds need 100 subjects of each outcome"),
    ],
)
def test_what_a_user_can_cause_is_told_in_one_line(
    reproduced: Path, clone: Clone, settings: tuple[str, ...], message: str
) -> None:
    folder = clone("wrong", *settings)
    stage = "extract" if "nowhere is" in message else "preprocess"
    if stage == "preprocess":
        shutil.copytree(reproduced / "data/extract", folder / "data/extract")
    output = run(folder, sys.executable, "src/run.py", stage, fails=True)
    assert message in output
    assert "Traceback" not in output
    assert len([line for line in output.splitlines() if "error:" in line]) == 1
    files = [p.relative_to(folder / "data") for p in (folder / "data").rglob("*") if p.is_file()]
    assert {p.parts[0] for p in files} <= {"extract", "README.md"}  # what it was given
    if stage == "extract":
        assert "Traceback" in run(
            folder, sys.executable, "src/run.py", stage, "--debug", fails=True
        )


@pytest.mark.parametrize(
    ("source", "objective"), [("challenge2012", "robust_l1"), ("mimiciii", "robust_l0")]
)
def test_real_patients_to_the_maps(
    source: str, objective: str, clone: Clone, challenge: Path, mimic_demo: Path
) -> None:
    """The demo of MIMIC-III by DVC, the Challenge in one process."""
    raw = challenge if source == "challenge2012" else mimic_demo
    small = (
        f"objectives=[{objective}]",
        "train.epochs=2",
        "tune_model.first.batch_size=64",
        "tune_model.rounds=1",
        "tune_model.trials=1",
        "baselines.trials=0",
    )
    folder = clone(source, f"extract.source={source}", f"extract.raw={raw}", *small)
    if source == "challenge2012":
        attacks = ("tune_attack", "attack", "probe", "analyze")
        run_stages(
            folder,
            [
                *([name] for name in ("extract", "preprocess", "tune_model", "train", "evaluate")),
                *([name, "--objective", objective] for name in attacks),
                ["summarize"],
            ],
        )
    else:
        output = run(folder, "dvc", "repro", "summarize")
    extracted = metrics(folder, "extract")
    if source == "challenge2012":
        assert (extracted["icu_stays"], extracted["deaths"]) == (8000, 1122)
        assert metrics(folder, "preprocess")["test_stays"] == pytest.approx(1595, abs=5)
        cells = read_table(
            folder / "data/attack" / objective / "perturbations.parquet", PERTURBATIONS
        )
        assert "calcium" not in set(
            cells["measurement"]
        )  # never observed: no model can be blamed for it
    else:
        assert (extracted["icu_stays"], extracted["icu_stays_in_icu_until_window_end"]) == (136, 73)
        assert "warning:" in output
    table = pd.read_csv(folder / "metrics/analyze" / objective / "susceptibility.csv")
    assert len(table) == 2 * 2 * 48 * 19
    assert table["s"].max() > 0
    summary = run(folder, sys.executable, "src/run.py", "summary")
    page = (folder / "metrics/analyze" / objective / "report.md").read_text()
    assert "synthetic" not in page + summary
