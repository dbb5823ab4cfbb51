"""probe on a tiny cohort whose models are untrained: what it measures, and what it does not."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from attack_tasks import one_process
from attack_world import (
    MODEL,
    OBJECTIVE,
    N,
    T,
    logits,
    make_params,
    run_attack,
    run_probe,
    write_world,
)
from literature_set import NAMES, M

from icu_adversarial.attack.tasks import choose_stays
from icu_adversarial.attack.victims import read_victims
from icu_adversarial.core import paths
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.schemas import (
    EXAMPLES,
    PERTURBATIONS,
    PREDICTIONS,
    read_table,
    write_table,
)
from icu_adversarial.model.networks.storage import load_model, save_model
from icu_adversarial.probe import sanity
from icu_adversarial.probe.stored import CELLS, attacked_stays, read_best_cells
from icu_adversarial.stages import probe


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with one_process():
        write_world()
        yield


def test_metrics_agree_with_the_tables() -> None:
    metrics, _ = run_probe(make_params())
    examples = read_table(paths.ATTACK / OBJECTIVE / "examples.parquet", EXAMPLES)
    best = examples[examples["kind"] == "best"]
    assert (
        metrics["attacked"]
        == len(best)
        == metrics["0_to_1"]["attacked"] + metrics["1_to_0"]["attacked"]
    )
    for name, rows in (
        (None, best),
        ("0_to_1", best[best["direction"] == "0→1"]),
        ("1_to_0", best[best["direction"] == "1→0"]),
    ):
        block = metrics if name is None else metrics[name]
        flipped = rows[rows["success"]]
        assert block["success_rate"] == pytest.approx(len(flipped) / len(rows))
        assert block["median_l1"] == pytest.approx(flipped["l1"].median())
        assert block["score"] == pytest.approx(
            (len(flipped) + 1 - flipped["l0"].median() / (T * M)) / len(rows)
        )
    first = examples[(examples["kind"] == "first") & examples["success"]]
    assert metrics["median_first_iteration"] == first["iteration"].median()


def test_the_attacked_stays_are_those_that_were_chosen() -> None:
    examples = run_attack(make_params(max_stays=20))
    chosen = choose_stays(
        read_table(paths.PREDICTIONS, PREDICTIONS),
        max_stays=20,
        attack_misclassified=False,
        seed=make_params().attack.seed,
    )
    found = attacked_stays(examples)
    assert found.astype(np.int64).equals(chosen.astype(np.int64))


def test_the_transfer_table_counts_what_flips_each_model() -> None:
    _, table = run_probe(make_params())
    examples = read_table(paths.ATTACK / OBJECTIVE / "examples.parquet", EXAMPLES)
    examples = examples.query("kind == 'best' and success")
    assert set(table["attacked"]) == {"fold 0", "fold 1", "fold 2"}
    assert set(table["scored"]) == {"ensemble", "fold 0", "fold 1", "fold 2"}
    own = table[table["attacked"] == table["scored"]]
    assert (own["flipped"] == 1).all()
    assert own["examples"].sum() == len(examples)
    other = table[(table["attacked"] != table["scored"]) & (table["examples"] > 0)]
    assert other["flipped"].between(0, 1).all()
    assert other["flipped"].mean() < 1

    victims = read_victims(NAMES, "grid")
    for row in table.itertuples():
        if row.scored == "ensemble":
            continue
        victim, y = victims[int(row.scored[-1])], int(row.direction[0])
        chosen = (examples["fold"] == int(row.attacked[-1])) & (
            examples["direction"] == row.direction
        )
        counts = [
            bool(logits(victim, stay, moved=True).argmax() != y)
            for stay in examples.loc[chosen, "stay_id"]
            if logits(victim, stay).argmax() == y
        ]
        assert row.examples == len(counts)
        if counts:  # the table has six significant digits
            assert row.flipped == pytest.approx(np.mean(counts), rel=1e-5)
        else:
            assert np.isnan(row.flipped)


def test_the_transfer_table_names_the_ensemble_that_was_attacked() -> None:
    _, table = run_probe(make_params(target="ensemble"))
    assert set(table["attacked"]) == {"ensemble"}
    assert set(table["scored"]) == {"ensemble", "fold 0", "fold 1", "fold 2"}
    assert (table.loc[table["scored"] == "ensemble", "flipped"] == 1).all()


def copy_one_model(thresholds: tuple[float, ...]) -> None:
    """All folds get the model and the scaler of fold 0, each with its own threshold on the log
    odds; the stays are predicted by their fold's model, and every prediction is right."""
    first = paths.MODELS / "fold_0"
    for k in range(1, len(thresholds)):
        shutil.rmtree(paths.MODELS / f"fold_{k}")
        shutil.copytree(first, paths.MODELS / f"fold_{k}")
    for k, threshold in enumerate(thresholds):
        folder = paths.MODELS / f"fold_{k}"
        network = load_model(folder)
        channels = read_victims(NAMES, "grid")[k].scaler.channels
        network.fold_threshold(threshold)
        save_model(folder, network, channels, MODEL, {})
    victims = read_victims(NAMES, "grid")
    table = read_table(paths.PREDICTIONS, PREDICTIONS)
    z = np.stack(
        [
            logits(victims[fold], stay).numpy()
            for stay, fold in zip(table["stay_id"], table["fold"], strict=True)
        ]
    )
    predicted = z[:, 1] > z[:, 0]
    table = table.assign(logit_0=z[:, 0], logit_1=z[:, 1], predicted=predicted, died=predicted)
    write_table(paths.PREDICTIONS, table, PREDICTIONS)


def test_transfer_between_copies_of_one_model_is_complete_where_their_thresholds_are_equal() -> (
    None
):
    copy_one_model((0.1, 0.1, 0.1))
    _, table = run_probe(make_params())
    folds = table[table["scored"] != "ensemble"]
    assert (folds["examples"] > 0).all()
    assert (folds["flipped"] == 1).all()


def test_transfer_between_copies_of_one_model_falls_with_the_difference_of_thresholds() -> None:
    """So the test above can fail."""
    copy_one_model((0.0, 0.3, 0.3))
    _, table = run_probe(make_params())
    lower_to_higher = table.query("attacked == 'fold 0' and scored == 'fold 1'")
    equal = table.query("attacked == 'fold 1' and scored == 'fold 2'")
    assert lower_to_higher.set_index("direction")["flipped"]["0→1"] < 0.5
    assert (equal["flipped"] == 1).all()


def test_the_best_cells_come_in_the_order_of_the_stays_and_may_be_none() -> None:
    run_attack(make_params())
    file = paths.ATTACK / OBJECTIVE / "perturbations.parquet"
    cells = read_best_cells(file)
    every = read_table(file, PERTURBATIONS)
    expected = every.loc[every["kind"] == "best", CELLS].reset_index(drop=True)
    assert cells.astype(str).equals(expected.astype(str))
    assert cells["stay_id"].is_monotonic_increasing
    write_table(file, PERTURBATIONS.empty_table(), PERTURBATIONS)
    assert read_best_cells(file).empty


def test_perturbations_of_a_measurement_that_the_model_lacks_are_refused() -> None:
    params = make_params()
    run_attack(params)
    file = paths.ATTACK / OBJECTIVE / "perturbations.parquet"
    cells = read_table(file, PERTURBATIONS).astype({"measurement": str})
    cells.loc[cells["kind"] == "best", "measurement"] = "urine"
    write_table(file, cells, PERTURBATIONS)
    with pytest.raises(InputError, match="parquet: urine: not among the measurements of the model"):
        probe.run(params, OBJECTIVE)


def test_the_sanity_checks_try_a_few_stays_of_each_fold_and_their_findings_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_attack(make_params())
    tried: list[int] = []

    def watched(tasks: object, *arguments: object) -> list[str]:
        tried.extend(len(task.y) for task in tasks)
        return ["something is odd"]

    monkeypatch.setattr(sanity, "check", watched)
    probe.run(make_params(), OBJECTIVE)
    assert tried == [sanity.STAYS] * 3
    assert sum(tried) < N
    assert f"warning: {OBJECTIVE}: something is odd" in capsys.readouterr().err
    content = (paths.METRICS / "probe" / OBJECTIVE / "metrics.json").read_text()
    assert '"something is odd"' in content
