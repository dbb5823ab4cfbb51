"""The hand-made attack that these tests share, and a repository with its figures in two revisions."""

import json
import os
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from analysis_tables import ROOT, Attack, Example, build, lay

from icu_adversarial.analysis.comparison import HELD_OUT, LEAK, PUBLISHED
from icu_adversarial.analysis.render import offline_page
from icu_adversarial.measurements import NAMES
from icu_adversarial.params import Params
from icu_adversarial.stages import analyze

EXAMPLES: list[Example] = [
    (1, 1, "0→1", "first", [(0, 4, 0.5), (1, 4, -0.1), (1, 0, 0.2)]),
    (1, 1, "0→1", "best", [(0, 4, 0.5)]),
    (2, 1, "0→1", "first", [(0, 4, -0.3)]),
    (2, 1, "0→1", "best", [(0, 4, -0.3)]),
    (3, 2, "0→1", "first", [(1, 0, 0.4), (1, 6, 0.8)]),
    (3, 2, "0→1", "best", [(1, 0, 0.4)]),
    (4, 3, "0→1", "first", None),
    (4, 3, "0→1", "best", None),
    (5, 4, "1→0", "first", None),
    (5, 4, "1→0", "best", [(1, 18, -1.0)]),
]
MODELS = ("network", "logistic regression", "gradient boosting")
# What other stages write, invented: name of the table and of its template, columns.
INVENTED: dict[str, tuple[str, dict[str, list[Any]]]] = {
    "coverage": (
        "share, measurement",
        {
            "measurement": list(NAMES),
            "stays": [5] * 19,
            "share": [0.5] * 19,
            "events_per_stay": [3.25] * 19,
        },
    ),
    "cohort": (
        "stays, step",
        {
            "step": ["all ICU stays", "age at least 18"],
            "order": [0, 1],
            "stays": [9, 8],
            "subjects": [7, 6],
            "deaths": [2, 1],
            "excluded": [0, 1],
        },
    ),
    "history": (
        "trial, value",
        {
            "trial": [0, 1, 2],
            "value": [0.5, 0.6, 0.4],
            "best": [0.5, 0.5, 0.4],
            "state": ["complete", "pruned", "complete"],
        },
    ),
    "importance": (
        "importance, parameter",
        {"parameter": [f"parameter_{i}" for i in range(8)], "importance": [0.05] * 7 + [0.65]},
    ),
    "slice": (
        "setting, value",
        {
            "trial": [0, 1],
            "value": [0.5, 0.6],
            "state": ["complete", "pruned"],
            "parameter": ["dropout", "kappa"],
            "setting": [0.1, 2],
        },
    ),
    "slice_choice": (
        "setting, value",
        {
            "trial": [0, 1],
            "value": [0.5, 0.6],
            "state": ["complete"] * 2,
            "parameter": ["optimizer", "activation"],
            "setting": ["adam", "tanh"],
        },
    ),
    "transfer": (
        "scored, attacked",
        {
            "direction": ["0→1"] * 4,
            "attacked": ["fold 0"] * 2 + ["fold 1"] * 2,
            "scored": ["fold 0", "fold 1"] * 2,
            "examples": [9, 8, 7, 0],
            "flipped": [1, 0.25, 0.5, None],
        },
    ),
    "learning": (
        "epoch, value",
        {
            "fold": [0, 0, 1, 1],
            "epoch": [0, 2, 0, 2],
            "quantity": ["auroc"] * 4,
            "value": [0.5, 0.7, 0.6, 0.8],
        },
    ),
    "learning_curve": (
        "stays, mean",
        {
            **{
                "share": [0.5, 1.0] * 3,
                "stays": [120, 240] * 3,
                "model": [m for m in MODELS for _ in range(2)],
                "score": ["auroc"] * 6,
            },
            **{
                "mean": [0.7, 0.8] * 3,
                "sd": [0.05] * 6,
                "low": [0.65, 0.75] * 3,
                "high": [0.75, 0.85] * 3,
            },
        },
    ),
    "comparison": (
        "value, model",
        {
            "model": ["a network of the literature"] * 3 + ["a leaky one", "ours"],
            "score": ["AUROC", "AUPRC", "AUROC", "AUROC", "AUROC"],
            "kind": [HELD_OUT, HELD_OUT, PUBLISHED, LEAK, HELD_OUT],
            **{
                "value": [0.8, 0.4, 0.9, 0.95, 0.85],
                "low": [0.75, 0.35, 0.89, 0.94, 0.8],
                "high": [0.85, 0.45, 0.91, 0.96, 0.9],
            },
        },
    ),
    "roc": (
        "fpr, tpr",
        {
            "split": ["test"] * 9,
            "curve": [m for m in MODELS for _ in range(3)],
            "fpr": [0, 0.5, 1] * 3,
            "tpr": [0, 0.8, 1] * 3,
        },
    ),
    "precision_recall": (
        "recall, precision",
        {
            "split": ["test"] * 6,
            "curve": [*MODELS] * 2,
            "recall": [0.5] * 3 + [1] * 3,
            "precision": [0.4] * 6,
        },
    ),
    "decision": (
        "threshold, net_benefit",
        {
            "split": ["test"] * 6,
            "curve": [*MODELS] * 2,
            "threshold": [0.1] * 3 + [0.2] * 3,
            "net_benefit": [0.05] * 3 + [0.02] * 3,
            "treat_all": [0.04] * 3 + [0.01] * 3,
        },
    ),
    "subgroups": (
        "value, group",
        {
            "division": ["age"] * 3 + ["sex"] * 2,
            "group": ["under 45", "45 to 64", "80 and over", "F", "M"],
            "split": ["test"] * 5,
            "score": ["auroc"] * 5,
            **{
                "stays": [30] * 5,
                "deaths": [4] * 5,
                "value": [0.8] * 4 + [None],
                "low": [0.7] * 4 + [None],
                "high": [0.9] * 4 + [None],
            },
        },
    ),
    "reliability": (
        "predicted, observed",
        {
            "split": ["test"] * 6,
            "curve": [*MODELS] * 2,
            "predicted": [0.1] * 3 + [0.8] * 3,
            "observed": [0.2] * 3 + [0.7] * 3,
            "stays": [9] * 6,
        },
    ),
}
ANALYZE = {
    "histograms": ("histograms", "low, share"),
    "discovery": ("discovery", "iteration, share"),
    "ranking": ("ranking", "s, measurement"),
    **{f"heatmap_{name}": ("heatmap", f"hour, {name}") for name in ("gpp", "ganzp", "s")},
    "heatmap_sensitivity": ("heatmap_log", "hour, sensitivity"),
}


@dataclass(frozen=True)
class Repository:
    """A DVC repository with every figure. specs: of the workspace; compared: of the two revisions side by side."""

    folder: Path
    specs: dict[str, dict[str, Any]]
    compared: dict[str, dict[str, Any]]


@pytest.fixture
def attack() -> Attack:
    """Subject 1 has stays 1 and 2; the attack on stay 4 fails; of direction 1→0 only the best example of stay 5 succeeds. T = 2."""
    return build(EXAMPLES)


@pytest.fixture(scope="session")
def small(params: Params) -> Params:
    """params.yaml with a window of two hours."""
    return params.model_copy(update={"window_hours": 2})


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory, small: Params) -> Repository:
    """Two commits: the synthetic hospital, then real patients by their label."""
    folder = tmp_path_factory.mktemp("figures")
    plots = ["plots:"]
    for name, (axes, _) in INVENTED.items():
        plots.append(
            f"  - {name}.csv: {{template: {name}, x: {axes.replace(',', ', y:')}, title: {name}}}"
        )
    for name, (template, axes) in ANALYZE.items():
        plots.append(
            f"  - metrics/analyze/sparse_small/plots/{name}.csv: {{template: {template}, x: {axes.replace(',', ', y:')}, title: {name}}}"
        )
    plots.append(
        "  - data/analyze/sparse_small/patients.csv: {template: patients, x: hour, y: perturbed}"
    )
    with chdir(folder):
        Path("dvc.yaml").write_text("\n".join(plots) + "\n", encoding="utf-8")
        _run("git", "init", "-q")
        _run("dvc", "init", "-q")
        lay(build(EXAMPLES), 2)
        Path(".dvc/config").write_text(
            (ROOT / ".dvc/config").read_text(encoding="utf-8"), encoding="utf-8"
        )
        offline_page()
        for source in ("synthetic", "challenge2012"):
            changed = small.model_copy(
                update={"extract": small.extract.model_copy(update={"source": source})}
            )
            analyze.run(changed, "sparse_small")
            for name, (_, table) in INVENTED.items():
                pd.DataFrame({"source": changed.extract.label, **table}).to_csv(
                    f"{name}.csv", index=False
                )
            _run("git", "add", "-f", ".")
            _run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", source)
        return Repository(folder, _specs("show"), _specs("diff", "HEAD~1", "HEAD"))


def _run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc"] if program == "dvc" else [program]
    return subprocess.run(
        [*command, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    ).stdout


def _specs(*command: str) -> dict[str, dict[str, Any]]:
    shown = json.loads(_run("dvc", "plots", *command, "--json"))
    assert "errors" not in shown
    return {Path(name).stem: renderings[0]["content"] for name, renderings in shown["data"].items()}
