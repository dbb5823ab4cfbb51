"""The stage: declared inputs in, declared outputs out, the same bytes every time."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from analysis_tables import CAP, Attack, lay
from literature_set import NAMES, M

from icu_adversarial.config.params import Params
from icu_adversarial.core.errors import InputError
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.stages import analyze

PLOTS = {
    "discovery",
    "heatmap_a",
    "heatmap_ganzp",
    "heatmap_gpp",
    "heatmap_s",
    "heatmap_sensitivity",
    "histograms",
    "ranking",
}


def outputs() -> dict[str, bytes]:
    return {
        str(p): p.read_bytes()
        for folder in ("metrics/analyze", "data/analyze", "data/findings")
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_writes_its_outputs_and_nothing_else_twice_the_same(
    attack: Attack, small: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(attack, 2)
    analyze.run(small, "sparse_small")
    once = outputs()
    analyze.run(small, "sparse_small")
    assert outputs() == once
    metrics = {
        f"metrics/analyze/sparse_small/{name}"
        for name in ("metrics.json", "susceptibility.csv", "easily_flipped.csv", "report.md")
    }
    assert set(once) == metrics | {
        f"metrics/analyze/sparse_small/plots/{name}.csv" for name in PLOTS
    } | {"data/analyze/sparse_small/patients.csv"} | {
        f"data/findings/sparse_small/{name}"
        for name in ("map.csv", "ranking.csv", "easily_flipped.csv", "attack.json")
    }
    assert capsys.readouterr().err.count("warning: The cohort has 5 stays") == 2


def test_every_table_is_labelled(attack: Attack, small: Params) -> None:
    lay(attack, 2)
    analyze.run(small, "sparse_small")
    for path in [*Path("metrics/analyze").rglob("*.csv"), *Path("data/analyze").rglob("*.csv")]:
        table = pd.read_csv(path)
        assert table.source.eq("synthetic hospital (not real patients)").all(), path
        assert table.objective.eq("sparse_small").all(), path
        assert not {"stay_id", "subject_id"} & set(table.columns), path
    assert len(pd.read_csv("metrics/analyze/sparse_small/susceptibility.csv")) == 4 * 2 * M


def test_metrics_say_what_they_are_about(attack: Attack, small: Params) -> None:
    lay(attack, 2)
    analyze.run(small, "sparse_small")
    found = json.loads(Path("metrics/analyze/sparse_small/metrics.json").read_text())
    assert (found["source"], found["stays"], found["prevalence"], found["conclusive"]) == (
        "synthetic hospital (not real patients)",
        5,
        0.2,
        False,
    )
    assert found["cap"] == CAP
    assert found["0_to_1"]["interval"] == "subjects and models"
    assert found["0_to_1"]["best"]["examples"] == 3
    assert found["0_to_1"]["best"]["sum_a"] == pytest.approx((0.5 + 0.3 + 0.4) / 4)
    assert found["1_to_0"]["first"]["median_l0"] is None


def test_every_figure_has_its_caption(attack: Attack, small: Params) -> None:
    lay(attack, 2)
    analyze.run(small, "sparse_small")
    for name in PLOTS:
        table = pd.read_csv(f"metrics/analyze/sparse_small/plots/{name}.csv")
        for kind, share in (("first", "67%"), ("best", "33%")):
            chosen = (table.kind == kind) & (table.direction == "0→1")
            (note,) = table[chosen].note.unique()
            name = kind.capitalize()
            caption = f"{name} examples: 3 of 4 stays; {share} at the cap of 0.5."
            assert note == caption
            assert table.warning.unique().tolist() == ["The cohort is too small for conclusions."]


def test_an_attack_without_a_cap_says_so(attack: Attack, small: Params) -> None:
    lay(attack, 2)
    best = Path("data/tune_attack/sparse_small/best.json")
    best.write_text(json.dumps({"trial": 0, "value": 1, "hyperparameters": {"kappa": 0.1}}))
    analyze.run(small, "sparse_small")
    folder = Path("metrics/analyze/sparse_small")
    assert json.loads((folder / "metrics.json").read_text())["cap"] is None
    assert pd.read_csv(folder / "plots/heatmap_a.csv").note.str.endswith("; no cap.").all()


def test_the_grid_says_what_was_measured_in_the_attacked_stays(
    attack: Attack, small: Params
) -> None:
    """Calcium is never measured; the rows of the grid follow the cohort, not the examples."""
    lay(attack, 2)
    grid = np.load("data/preprocess/grid.npy")
    grid[..., 1] = np.nan
    grid[:, 0, 4], grid[2, 0, 4] = np.nan, 1  # lactate at hour 0 in the third stay alone
    np.save("data/preprocess/grid.npy", grid)
    analyze.run(small, "sparse_small")
    found = pd.read_csv("metrics/analyze/sparse_small/susceptibility.csv")
    assert found[found.known == 0].measurement.unique().tolist() == ["calcium"]
    lactate = found[(found.measurement == "lactate") & (found.hour == 0)]
    assert lactate.a_observed.isna().tolist() == [False, False, True, True]


def test_no_example_at_all_still_gives_every_table(attack: Attack, small: Params) -> None:
    failures = attack.examples.assign(
        success=False, iteration=-1, l0=None, l1=None, linf=None, margin=None
    )
    lay(Attack(failures, attack.perturbations[:0], attack.cohort), 2)
    analyze.run(small, "sparse_small")
    found = pd.read_csv("metrics/analyze/sparse_small/susceptibility.csv")
    assert found[["a", "s"]].eq(0).all(axis=None)
    assert len(pd.read_csv("data/analyze/sparse_small/patients.csv")) == 2


def test_patients_of_another_model_are_drawn_within_the_limits_of_its_own_scaler(
    attack: Attack, small: Params
) -> None:
    """The grid's values are about 100; this model was trained on values from 0 to 10."""
    lay(Attack(attack.examples.assign(fold=np.int8(-2)), attack.perturbations, attack.cohort), 2)
    limits = np.zeros(M, np.float32), np.full(M, 10, np.float32), np.full(M, 5, np.float32)
    Scaler(NAMES, *limits, interpolation="linear", limit_direction="both", extra_channels=()).save(
        Path("elsewhere/scaler.json")
    )
    elsewhere = small.attack.model_copy(update={"target": "file", "models": Path("elsewhere")})
    analyze.run(small.model_copy(update={"attack": elsewhere}), "sparse_small")
    original = pd.read_csv("data/analyze/sparse_small/patients.csv")["original"]
    assert original.max() == 10
    assert set(original) <= {5, 10}  # cut off at the limit, or never observed


def test_a_missing_input_is_one_line_and_leaves_nothing(attack: Attack, small: Params) -> None:
    lay(attack, 2)
    Path("data/attack/sparse_small/perturbations.parquet").unlink()
    with pytest.raises(InputError, match=r"perturbations\.parquet is missing"):
        analyze.run(small, "sparse_small")
    assert not outputs()
