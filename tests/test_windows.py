"""Windows of one to three days and bins of one or two hours, from events to the figures."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import vl_convert
from analysis_tables import ROOT, Attack, build, write_attack
from feature_tables import event_batches, make_stays
from literature_set import NAMES, M

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, write_json
from icu_adversarial.core.schemas import (
    COHORT,
    EVENTS,
    STAYS,
    read_table,
    write_batches,
    write_table,
)
from icu_adversarial.model.fold_data import make_fold
from icu_adversarial.model.networks.registry import build as build_network
from icu_adversarial.report.vega import VEGA_LITE
from icu_adversarial.stages import analyze, preprocess

N = 40


def lay_events(window_hours: int) -> None:
    """Stay n: ten values of each of five measurements, the last one a minute before the window ends."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(1, N + 1):
        for name in ("potassium", "lactate", "heartrate", "sysbp", "spo2"):
            times = [*(rng.random(9) * window_hours).tolist(), window_hours - 1 / 60]
            rows += [(n, hour, name, float(rng.normal(100, 10))) for hour in times]
    write_table(
        paths.STAYS, make_stays(died=[n % 3 == 0 for n in range(N)], out_hour=[200.0] * N), STAYS
    )
    write_batches(paths.EVENTS, event_batches(*rows), EVENTS)
    write_json(paths.EXCLUDED, {})


def drawn(template: str, table: pd.DataFrame) -> str:
    """The figure as SVG, filled in as DVC does it."""
    path = ROOT / ".dvc" / "plots" / f"{template}.json"
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    spec["data"]["values"] = json.loads(table.to_json(orient="records"))
    return vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=VEGA_LITE)


def hours_of_axis(svg: str) -> list[int]:
    """The labels of the first time axis."""
    axis = svg.partition("X-axis titled 'time since ICU admission")[2].partition("role-axis-title")[
        0
    ]
    return [int(label) for label in re.findall(r">(\d+)</text>", axis)]


@pytest.mark.parametrize(("window_hours", "bin_hours"), [(24, 1), (48, 2), (72, 2)])
def test_every_window_passes_through(
    window_hours: int,
    bin_hours: int,
    params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    content = params.model_dump() | {"window_hours": window_hours, "bin_hours": bin_hours}
    content["split"]["folds"], content["analyze"]["bootstrap"] = 2, 5
    small = Params.model_validate(content)
    t = window_hours // bin_hours
    lay_events(window_hours)
    preprocess.run(small)
    cohort, grid = read_table(paths.COHORT, COHORT), read_array(paths.GRID)
    assert grid.shape == (N, t, M)
    assert np.isfinite(
        grid[:, -1, NAMES.index("spo2")]
    ).all()  # the last minute of the window lies in the last bin

    training = ~cohort["is_test"].to_numpy()
    fold = cohort["fold"].to_numpy()[training]
    for k in range(2):
        data, scaler = make_fold(
            grid[training], NAMES, cohort[training], fold == k, small.features, small.model
        )
        with torch.no_grad():
            network = build_network(data.channels, data.statics, small.model)
            assert network(torch.from_numpy(data.x_train)).isfinite().all()
        (paths.MODELS / f"fold_{k}").mkdir(parents=True)
        scaler.save(paths.MODELS / f"fold_{k}" / "scaler.json")

    last = window_hours - bin_hours
    chosen = cohort[training]
    rows = [
        (
            int(s.stay_id),
            int(s.subject_id),
            "1→0" if s.died else "0→1",
            "best",
            [(0, 4, 0.25), (last, 18, -0.5)],
        )
        for s in chosen.itertuples()
    ]
    attack = build(rows)
    write_attack(
        Attack(attack.examples.assign(fold=chosen["fold"].to_numpy()), attack.perturbations, cohort)
    )
    analyze.run(small, "sparse_small")

    maps = pd.read_csv("metrics/analyze/sparse_small/susceptibility.csv")
    assert len(maps) == 4 * t * M
    assert sorted(maps["hour"].unique()) == list(range(0, window_hours, bin_hours))
    touched = maps[(maps["kind"] == "best") & (maps["s"] > 0)]
    assert {(r.hour, r.end_hour, r.measurement, r.s) for r in touched.itertuples()} == {
        (0, bin_hours, "lactate", 0.25),
        (last, window_hours, "spo2", 0.5),
    }
    assert (
        f"| {last}–{window_hours} |" in Path("metrics/analyze/sparse_small/report.md").read_text()
    )
    patients = pd.read_csv("data/analyze/sparse_small/patients.csv")
    assert sorted(patients["hour"].unique()) == list(range(0, window_hours, bin_hours))
    assert set(patients.loc[patients["changed"] == 1, "hour"]) == {0, last}

    heatmap = hours_of_axis(
        drawn("heatmap_s", pd.read_csv("metrics/analyze/sparse_small/plots/heatmap_s.csv"))
    )
    assert heatmap == list(range(0, window_hours + 1, 6))  # from edge to edge
    hours = list(range(0, window_hours + 1, 12))  # the end has a tick
    assert hours_of_axis(drawn("patients", patients)) == hours
