"""Sets of other lengths and kinds than the literature's, from the events to the maps."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from feature_tables import event_batches, make_stays
from model_world import FEATURES, MODEL, VARIANTS, small

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.attack.tasks import Task, Victim
from icu_adversarial.attack.verify import decide, run_task
from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import read_array, read_json, write_json
from icu_adversarial.core.schemas import (
    COHORT,
    EVENTS,
    EXAMPLES,
    PERTURBATIONS,
    STAYS,
    read_table,
    write_batches,
    write_table,
)
from icu_adversarial.features.scaling import Scaler
from icu_adversarial.measurements import DICTIONARY, columns_of, names_of
from icu_adversarial.model.fold_data import make_folds
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.networks.storage import load_model
from icu_adversarial.model.training import advance, start
from icu_adversarial.stages import analyze, attack, evaluate, preprocess, probe, train, tune_model

N, T = 96, 8
CHOICES: dict[str, str | tuple[str, ...]] = {
    "three": ("ph", "lactate", "heartrate"),
    "mixed": ("mechvent", "lactate", "urine", "gcs_motor"),
    "extended": "extended",
}
OBJECTIVE = "robust_l0"
ATTACKS: dict[str, dict[str, Any]] = {
    "prior": {"optimizer": "adam", "learning_rate": 0.03, "kappa": 0.0, "penalty": 1e-3},
}


def make_params(params: Params, choice: str | tuple[str, ...]) -> Params:
    """Two folds, little to train, and weight among the static inputs if the choice has it."""
    chosen = small(params, tune_model={"trials": 0}, split={"folds": 2}, analyze={"bootstrap": 5})
    content = chosen.model_dump() | {"measurements": choice}
    content["extract"] |= {"source": "mimiciii", "raw": Path("raw")}
    content["model"]["static_inputs"] = ("age", *({"weight", "height"} & set(names_of(choice))))
    content["attack"] |= {"iterations": 20, "max_stays": None, "method": "l0"}
    return Params.model_validate(content)


def lay_events(names: tuple[str, ...]) -> None:
    """Four values of most measurements of each stay. All values of those who die are higher."""
    rng, rows = np.random.default_rng(0), []
    died = [n % 3 == 0 for n in range(N)]
    for stay in range(1, N + 1):
        for name in names:
            if rng.random() < 0.2 or (name == "mechvent" and not died[stay - 1]):
                continue
            for hour in rng.uniform(0, T, 4):
                value = rng.normal(100 + 12 * died[stay - 1], 10)
                rows.append((stay, float(hour), name, 1.0 if name == "mechvent" else value))
    write_table(paths.STAYS, make_stays(died=died, age=rng.uniform(20, 90, N).tolist()), STAYS)
    write_batches(paths.EVENTS, event_batches(*rows, names=names), EVENTS)
    write_json(paths.EXCLUDED, {})


@pytest.fixture(scope="module", params=CHOICES)
def chosen(
    request: pytest.FixtureRequest, params: Params, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Params, Path]:
    """The settings, and a folder after preprocess."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = make_params(params, CHOICES[request.param])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lay_events(settings.names)
        preprocess.run(settings)
    return settings, folder


def cohort_and_grid(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    return read_table(folder / paths.COHORT, COHORT), np.asarray(read_array(folder / paths.GRID))


def test_the_grid_has_the_columns_of_the_set_in_their_order(chosen: tuple[Params, Path]) -> None:
    params, folder = chosen
    cohort, grid = cohort_and_grid(folder)
    names = columns_of(names_of(params.measurements))
    assert grid.shape == (N, T, len(names)) == (N, T, params.cells // T)
    assert np.isfinite(grid).any((0, 1)).all()
    if "mechvent" in names:
        assert np.nanmin(grid[..., names.index("mechvent")]) == 1
    if "urine" in names:  # sums of several values are larger than any one value
        assert np.nanmax(grid[..., names.index("urine")]) > 180
    assert "weight" not in names
    assert cohort["weight"].notna().any() == ("weight" in params.names)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_network_is_built_and_learns(chosen: tuple[Params, Path], variant: str) -> None:
    params, folder = chosen
    cohort, grid = cohort_and_grid(folder)
    model = MODEL.changed(VARIANTS[variant])
    (fold, *_), (scaler, *_) = make_folds(grid, params.columns, cohort, FEATURES, model)
    assert fold.channels == len(params.columns) * (1 + len(model.extra_channels)) + fold.statics
    state = start(fold, model, 1)
    trained = advance(state, fold, model, epochs=1, of=1, seed=1)
    first = build(fold.channels, fold.statics, model)
    first.load_state_dict(state.weights)
    network = build(fold.channels, fold.statics, model)
    network.load_state_dict(trained.weights)
    x = torch.from_numpy(fold.x_held_out)
    with torch.no_grad():
        before, after = first.eval()(x), network.eval()(x)
    assert after.shape == (len(x), 2)
    assert after.isfinite().all()
    assert not torch.equal(before, after)
    assert scaler.names == params.columns


@pytest.mark.parametrize("method", METHODS)
def test_every_attack_finds_examples(chosen: tuple[Params, Path], method: str) -> None:
    params, folder = chosen
    cohort, grid = cohort_and_grid(folder)
    model = MODEL.changed(VARIANTS["pooled_lstm"])
    (fold, *_), (scaler, *_) = make_folds(grid, params.columns, cohort, FEATURES, model)
    torch.manual_seed(0)
    network = build(fold.channels, fold.statics, model).eval()
    with torch.no_grad():  # about half of the stays die
        network.output.weight *= 20
        network.output.bias -= network(torch.from_numpy(fold.x_train)).median(0).values
    task = Task(0, Victim(for_attack(network), scaler), cohort[:8], grid[:8], np.zeros(8, np.int64))
    task = task._replace(y=decide(task).astype(np.int64))
    found = run_task(task, partial(METHODS[method], **ATTACKS.get(method, {}), iterations=20))
    best = found.examples[found.examples["kind"] == "best"]
    assert best["success"].sum() >= 4
    assert found.cells["measurement"].between(0, len(params.columns) - 1).all()
    assert (best.loc[best["success"], "l0"] <= params.cells).all()


@pytest.fixture(scope="module")
def done(chosen: tuple[Params, Path]) -> tuple[Params, Path]:
    """The same after train, evaluate, attack, probe and analyze."""
    params, folder = chosen
    best = {"cap": 1.0, "patience": 2, "candidates": 8, "starts": 1}
    with pytest.MonkeyPatch.context() as patch, joblib.parallel_config("sequential"):
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        tune_model.run(params)
        train.run(params)
        evaluate.run(params)
        content = {"trial": 0, "value": 1.0, "hyperparameters": best}
        write_json(paths.TUNE_ATTACK / OBJECTIVE / "best.json", content)
        for stage in (attack, probe, analyze):
            stage.run(params, OBJECTIVE)
    return params, folder


def test_the_maps_have_every_measurement_of_the_set(done: tuple[Params, Path]) -> None:
    params, folder = done
    names = list(params.columns)
    maps = pd.read_csv(folder / paths.METRICS / "analyze" / OBJECTIVE / "susceptibility.csv")
    assert len(maps) == 2 * 2 * T * len(names)
    for _, one in maps.groupby(["direction", "kind"]):
        assert one["measurement"].tolist() == names * T
        assert one["hour"].tolist() == np.repeat(range(T), len(names)).tolist()
    plots = folder / paths.METRICS / "analyze" / OBJECTIVE / "plots"
    ranking = pd.read_csv(plots / "ranking.csv", dtype={"fold": str})
    best = ranking[(ranking["kind"] == "best") & (ranking["fold"] == "all")]
    assert best.groupby("direction")["measurement"].apply(list).tolist() == [names] * 2
    assert len(pd.read_csv(plots / "heatmap_s.csv")) == len(maps)
    patients = pd.read_csv(folder / "data" / "analyze" / OBJECTIVE / "patients.csv")
    units = patients.groupby("measurement")["unit"].first().fillna("").to_dict()
    assert units.items() <= {name: DICTIONARY[name].unit for name in names}.items()
    probed = read_json(folder / paths.METRICS / "probe" / OBJECTIVE / "metrics.json")
    assert probed["success_rate"] > 0.5


def test_a_stored_flip_flips_again_from_disk(done: tuple[Params, Path]) -> None:
    """The sizes in the map are those of the stored cells, each in the column of its name."""
    params, folder = done
    cohort, grid = cohort_and_grid(folder)
    examples = read_table(folder / paths.ATTACK / OBJECTIVE / "examples.parquet", EXAMPLES)
    cells = read_table(folder / paths.ATTACK / OBJECTIVE / "perturbations.parquet", PERTURBATIONS)
    flipped = examples[examples["success"] & (examples["kind"] == "best")]
    assert len(flipped) > 0.5 * examples["stay_id"].nunique()
    for fold, own in flipped.groupby("fold"):
        place = folder / paths.MODELS / f"fold_{fold}"
        network, scaler = load_model(place), Scaler.load(place / "scaler.json")
        rows = pd.Index(cohort["stay_id"]).get_indexer(own["stay_id"])
        x = scaler.apply(grid[rows], cohort.iloc[rows])
        edited, best = grid[rows].copy(), cells[cells["kind"] == "best"]
        for i, stay in enumerate(own["stay_id"]):
            for cell in best[best["stay_id"] == stay].itertuples():
                edited[i, cell.hour, params.columns.index(cell.measurement)] += cell.delta_clinical
        changed = scaler.apply(edited, cohort.iloc[rows])
        with torch.no_grad():
            before, after = (network(torch.from_numpy(v)).argmax(1) for v in (x, changed))
        assert (before != after).all()


def test_scores_of_every_model_are_there(done: tuple[Params, Path]) -> None:
    _, folder = done
    found = json.loads((folder / paths.METRICS / "evaluate" / "metrics.json").read_text())
    assert set(found["test"]) == {"network", "logistic_regression", "gradient_boosting"}
    assert found["test"]["gradient_boosting"]["auroc"]["value"] > 0.8
