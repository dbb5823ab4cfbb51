"""A folder with small results of every stage, for the stage report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from analysis_tables import ROOT, Attack, Example, build, lay, model_metrics, write_attack
from figure_world import SYNTHETIC, tables
from literature_set import NAMES, M

from icu_adversarial.config.params import Params
from icu_adversarial.stages import analyze, report

OBJECTIVES = {"robust_l1": 5, "robust_l0": 2}  # and what limits the number of changed cells
HOURS = 4
FIRST_STAY = 900_001  # no number of the report is so large
SURVIVORS, DEATHS = 24, 24
OUTCOME = "death in the hospital"
COMMON = (0, 3)  # bin and column that every example changes
RARE = (2, 12)  # bin and column that three examples change
SECRET = 0.123457  # change of these examples


def small(params: Params) -> Params:
    """params.yaml with a window of four hours."""
    changed = {"window_hours": HOURS, "objectives": tuple(OBJECTIVES)}
    analysis = params.analyze.model_copy(update={"bootstrap": 50})
    grid = params.attack.model_copy(update={"space": "grid"})
    return params.model_copy(update={**changed, "analyze": analysis, "attack": grid})


def attack(others: int = 4) -> Attack:
    """Survivors and deaths. Each example changes one common cell and others; one attack fails.

    Args:
        others: An example changes fewer than so many other cells.
    """
    rng, rows = np.random.default_rng(0), []
    for place in range(SURVIVORS + DEATHS):
        direction = "0→1" if place < SURVIVORS else "1→0"
        cells = {COMMON: 0.25 + place / 100 + others / 50}
        for _ in range(rng.integers(others)):
            cell = int(rng.integers(HOURS - 1)), int(rng.integers(5, M))
            if cell != RARE:
                cells[cell] = float(rng.uniform(0.1, 0.5))
        if place < 3:
            cells[RARE] = SECRET
        changed = None if place == 5 else [(*cell, size) for cell, size in cells.items()]
        rows += [
            (FIRST_STAY + place, place + 1, direction, kind, changed) for kind in ("first", "best")
        ]
    examples: list[Example] = rows
    found = build(examples)
    found.cohort["age"] = np.resize(np.array([30, 50, 70, 85], np.float32), len(found.cohort))
    found.cohort["sex"] = ["M"] * 3 + ["F"] * (len(found.cohort) - 3)
    found.cohort["icu_type"] = "MICU"
    return found


def lay_results(params: Params) -> None:
    """What the stages before report leave, in the current folder."""
    lay(attack(), HOURS)
    for objective, others in OBJECTIVES.items():
        write_attack(attack(others))
        for folder in ("attack", "tune_attack"):
            shutil.copytree(f"data/{folder}/sparse_small", f"data/{folder}/{objective}")
    figures = tables()
    for stage, name in (
        *(("preprocess", "cohort"), ("extract", "coverage")),
        *(("evaluate", "reliability"), ("evaluate", "subgroups")),
    ):
        path = Path(f"metrics/{stage}/plots/{name}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        table = figures[name].assign(source=SYNTHETIC, outcome=OUTCOME, note="", remark="")
        table.to_csv(path, index=False)
    scores = json.loads(json.dumps(model_metrics()))
    for model in scores["test"].values():
        model["calibration_error_if_perfect"] = model["calibration_error"]
    gain = {"value": -0.0123, "low": -0.03, "high": 0.01}
    scores |= {
        "warning": None,
        "stays": {"training": 400, "test": 100},
        "deaths": {"training": 40, "test": 10},
        "difference": {"gradient_boosting": {"test": {"auroc": gain}}},
    }
    Path("metrics/evaluate/metrics.json").write_text(json.dumps(scores))
    network = {"hyperparameters": {"architecture": "lstm", "n_lstm": 8}, "epochs": [2, 2]}
    Path("metrics/train").mkdir()
    Path("metrics/train/metrics.json").write_text(json.dumps(network))
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    for objective in OBJECTIVES:
        analyze.run(params, objective)


def lay_literature(auroc: float) -> None:
    """The table of the study `literature`. auroc: of this pipeline's network in the study."""
    rows = pd.DataFrame(
        {
            "model": ["LSTM-128 (Sun et al. 2018)", "This pipeline's network: lstm-8"],
            "score": "AUROC",
            "kind": "held-out test set, 95 % interval",
            "value": [0.7, auroc],
            "low": 0.6,
            "high": 0.9,
            "source": SYNTHETIC,
        }
    )
    path = Path("metrics/literature_table/plots/literature.csv")
    path.parent.mkdir(parents=True)
    rows.to_csv(path, index=False)


def write(params: Params) -> None:
    """All results, then both pages, in the current folder."""
    lay_results(params)
    report.run(params)


RARE_NAME, COMMON_NAME = NAMES[RARE[1]], NAMES[COMMON[1]]
