"""The tables behind the figures, against counts by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from analysis_tables import Attack, build, nothing_measured
from literature_set import NAMES, M

from icu_adversarial.analyze.figures import (
    BINS,
    discovery,
    heatmaps,
    histograms,
    label,
    patients,
    typical,
)
from icu_adversarial.analyze.groups import DIRECTIONS, KINDS
from icu_adversarial.analyze.susceptibility import susceptibility
from icu_adversarial.features.scaling import Scaler

SCALER = Scaler(
    NAMES,
    np.zeros(M, np.float32),
    np.full(M, 10, np.float32),
    np.full(M, 5, np.float32),
    "linear",
    "both",
    (),
)


def bars(table: pd.DataFrame, direction: str, kind: str, quantity: str) -> dict[float, int]:
    chosen = table[
        (table.direction == direction)
        & (table.kind == kind)
        & (table.quantity == quantity)
        & (table.examples > 0)
    ]
    return dict(zip(chosen.low, chosen.examples, strict=True))


def test_histograms_count_every_example_once(attack: Attack) -> None:
    table = histograms(attack.examples, 1, 912)
    assert bars(table, "0→1", "first", "L0") == {1: 1, 2: 1, 3: 1}
    assert bars(table, "0→1", "first", "L∞") == {0.3: 1, 0.5: 1, 0.8: 1}
    assert bars(table, "0→1", "first", "mean |P|") == {0.25: 1, 0.3: 1, 0.6: 1}
    assert bars(table, "1→0", "best", "L∞") == {0.95: 1}  # 1 lies in the last bin
    totals = table.groupby(["direction", "kind", "quantity"])[["examples", "share"]].sum()
    assert totals.loc["0→1"].examples.eq(3).all()
    assert totals.loc["0→1"].share.to_numpy() == pytest.approx(1)
    assert totals.loc["1→0", "first"].eq(0).all(axis=None)


def test_histograms_end_with_the_largest_value_and_obey_the_filter(attack: Attack) -> None:
    table = histograms(attack.examples, 1, 2)
    assert table[table.quantity == "L0"].high.max() == 3
    assert bars(table, "0→1", "first", "L0") == {1: 1, 2: 1}


def test_no_example_leaves_one_empty_bin(attack: Attack) -> None:
    table = histograms(attack.examples, 900, 912)
    assert len(table) == len(DIRECTIONS) * len(KINDS) * len(BINS)
    assert table[["examples", "share"]].eq(0).all(axis=None)


def test_the_bins_include_every_possible_l0() -> None:
    assert BINS["L0"][0] == 1
    assert BINS["L0"][-1] > 127 * M  # the longest window that params.yaml allows


def test_discovery_counts_all_attacked_stays(attack: Attack) -> None:
    """The iteration of these examples is the number of the stay: 1, 2, 3 of four stays."""
    table = discovery(attack.examples)
    chosen = table[(table.direction == "0→1") & (table.kind == "first")]
    assert chosen.iteration.tolist() == [0, 1, 2, 3, 5]
    assert chosen.share.tolist() == [0, 0.25, 0.5, 0.75, 0.75]
    empty = table[(table.direction == "1→0") & (table.kind == "first")]
    assert (empty.iteration.tolist(), empty.share.tolist()) == ([0, 5], [0, 0])
    assert discovery(attack.examples[:0]).share.eq(0).all()


def test_typical_examples_lie_next_to_the_median() -> None:
    attack = build([(n, n, "0→1", "best", [(0, 0, n / 16)]) for n in (3, 1, 9, 5, 7)])
    assert typical(attack.examples, 1, 1, 912).stay_id.tolist() == [5]
    assert typical(attack.examples, 3, 1, 912).stay_id.tolist() == [
        5,
        3,
        7,
    ]  # a tie: the smaller stay_id first
    assert typical(attack.examples.sample(frac=1, random_state=1), 3, 1, 912).stay_id.tolist() == [
        5,
        3,
        7,
    ]
    assert len(typical(attack.examples, 99, 1, 912)) == 5
    assert typical(attack.examples, 3, 2, 912).empty


def test_patients_in_clinical_units(attack: Attack) -> None:
    """Scaled 0..1 is 0..10 clinical units; stay 3 has potassium 4 at hour 0, which fills hour 1."""
    chosen = typical(attack.examples, 1, 1, 912)
    assert chosen.stay_id.tolist() == [3, 5]
    grids = np.full((2, 2, M), np.nan, np.float32)
    grids[0, 0, 0] = 4
    table = patients(chosen, attack.perturbations, grids, range(2), dict.fromkeys((0, 1), SCALER))
    potassium = table[(table.direction == "0→1") & (table.measurement == "potassium")]
    assert potassium.original.tolist() == [4, 4]
    assert potassium.perturbed.tolist() == pytest.approx([4, 8])
    assert potassium.changed.tolist() == [0, 1]
    assert potassium.observed.tolist() == [1, 0]
    assert potassium[["patient", "cells", "rank"]].drop_duplicates().to_numpy().tolist() == [
        [1, 1, 1]
    ]
    saturation = table[table.direction == "1→0"]
    assert set(saturation.measurement) == {"spo2"}
    assert saturation.perturbed.tolist() == pytest.approx(
        [5, -5]
    )  # never measured: the median, and delta_clinical as it is stored
    assert saturation.unit.tolist() == ["%", "%"]


def test_patients_in_bins_of_two_hours() -> None:
    attack = build([(1, 1, "0→1", "best", [(2, 0, 0.25)])])
    table = patients(
        attack.examples,
        attack.perturbations,
        np.full((1, 3, M), 4, np.float32),
        range(0, 6, 2),
        {1: SCALER},
    )
    chosen = table[table.direction == "0→1"]
    assert chosen.hour.tolist() == [0, 2, 4]
    assert chosen.end_hour.tolist() == [2, 4, 6]
    assert chosen.changed.tolist() == [0, 1, 0]
    assert chosen.perturbed.tolist() == pytest.approx([4, 6.5, 4])


def test_what_a_model_is_not_given_is_empty_in_the_figure_too() -> None:
    attack = build([(1, 1, "0→1", "best", [(0, 0, 0.25)])])
    grid = np.full((1, 2, M), np.nan, np.float32)
    grid[0, 0, 0] = 4
    unfilled = dataclasses.replace(SCALER, interpolation="none", extra_channels=("observed",))
    table = patients(attack.examples, attack.perturbations, grid, range(2), {1: unfilled})
    assert table.original.tolist()[0] == 4
    assert table.original.isna().tolist()[:2] == [False, True]


def test_measurements_of_a_patient_are_ranked_without_an_identifier() -> None:
    attack = build(
        [(77, 4242, "0→1", "best", [(0, 18, 0.1), (1, 4, 0.2), (1, 18, 0.25), (0, 0, 0.3)])]
    )
    table = patients(
        attack.examples, attack.perturbations, np.ones((1, 2, M), np.float32), range(2), {0: SCALER}
    )
    ranks = (
        table.dropna(subset="measurement")
        .drop_duplicates("measurement")
        .set_index("measurement")["rank"]
    )
    assert ranks.to_dict() == {"spo2": 1, "potassium": 2, "lactate": 3}
    assert not {"stay_id", "subject_id"} & set(table.columns)
    assert not table.isin([77, 4242]).any(axis=None)


def test_a_direction_without_a_patient_keeps_a_row(attack: Attack) -> None:
    table = patients(
        attack.examples[:0], attack.perturbations, np.empty((0, 2, M), np.float32), range(2), {}
    )
    assert table.direction.tolist() == list(DIRECTIONS)
    assert table.patient.eq(0).all()
    assert table.drop(columns=["direction", "patient"]).isna().all(axis=None)


def test_labels_come_first() -> None:
    source, outcome = "synthetic hospital (not real patients)", "death in the hospital"
    table = label(pd.DataFrame({"x": [1, 2]}), source, outcome, "sparsity")
    assert table.columns.tolist() == ["source", "outcome", "objective", "x"]
    assert table.source.eq("synthetic hospital (not real patients)").all()


def test_heat_maps_have_one_value_for_every_cell(attack: Attack) -> None:
    by_cell, _ = susceptibility(
        attack.examples,
        attack.perturbations,
        attack.cohort,
        nothing_measured(attack),
        hours=range(2),
        names=NAMES,
        min_l0=1,
        max_l0=912,
        resamples=5,
    )
    found = heatmaps(by_cell)
    names = ["a", "s", "gpp", "ganzp", "sensitivity"]
    assert list(found) == [f"heatmap_{name}" for name in names]
    for name in names:
        table = found[f"heatmap_{name}"]
        numbers = ["direction", "kind", "examples", "attacked", "patients", "known"]
        assert table.columns.tolist() == [*numbers, "hour", "end_hour", "measurement", name]
        pd.testing.assert_series_equal(table[name], by_cell[name])
