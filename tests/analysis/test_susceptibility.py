"""Formulas by hand, an independent slow reference, empty directions, and the bootstrap."""

from statistics import mean

import numpy as np
import pandas as pd
import pytest
from analysis_tables import Attack, Example, build
from hypothesis import given, settings
from hypothesis import strategies as st

from icu_adversarial.analysis.susceptibility import (
    DIRECTIONS,
    KINDS,
    group,
    measure,
    resample,
    susceptibility,
)
from icu_adversarial.measurements import NAMES, M

HOURS = range(2)
CELLS = len(HOURS) * M


def run(
    attack: Attack, min_l0: int = 1, max_l0: int = 912, resamples: int = 20, hours: range = HOURS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    return susceptibility(
        attack.examples,
        attack.perturbations,
        attack.cohort,
        hours=hours,
        min_l0=min_l0,
        max_l0=max_l0,
        resamples=resamples,
    )


def cell(table: pd.DataFrame, direction: str, kind: str, hour: int, measurement: str) -> pd.Series:
    chosen = (
        (table.direction == direction)
        & (table.kind == kind)
        & (table.hour == hour)
        & (table.measurement == measurement)
    )
    return table[chosen].squeeze()


def test_formulas_by_hand(attack: Attack) -> None:
    """Lactate at hour 0, first examples of 0→1: |P| = 0.5, 0.3, 0 of K = 3 examples of N = 4 attacked stays."""
    found = cell(run(attack)[0], "0→1", "first", 0, "lactate")
    assert (found.examples, found.attacked) == (3, 4)
    expected = {
        "gmp": 0.5,
        "gap": 0.8 / 3,
        "gpp": 2 / 3,
        "ganzp": 0.4,
        "s": 1 / 3,
        "sensitivity": (2 / 3) / 0.4,
    }
    expected |= {"gap_all": 0.2, "gpp_all": 0.5, "s_all": 0.25}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name


def test_gap_is_one_number_per_cell(attack: Attack) -> None:
    table = run(attack)[0]
    gap = table[(table.direction == "0→1") & (table.kind == "first")].gap
    assert len(gap) == CELLS
    assert set(gap.mul(3).round(6)) == {0, 0.8, 0.6, 0.1}


def test_every_cell_is_there_in_the_order_of_the_grid(attack: Attack) -> None:
    table = run(attack)[0]
    rows = [
        (d, k, hour, name) for d in DIRECTIONS for k in KINDS for hour in HOURS for name in NAMES
    ]
    assert (
        list(table[["direction", "kind", "hour", "measurement"]].itertuples(index=False, name=None))
        == rows
    )


def test_bins_of_two_hours_hold_what_bins_of_one_hour_held(attack: Attack) -> None:
    """The same perturbations in bins [0, 2) and [2, 4): only the hours of the rows change."""
    wide = Attack(
        attack.examples,
        attack.perturbations.assign(hour=2 * attack.perturbations.hour),
        attack.cohort,
    )
    narrow_tables, wide_tables = run(attack), run(wide, hours=range(0, 4, 2))
    cells = wide_tables[0]
    assert cells[["hour", "end_hour"]].drop_duplicates().to_numpy().tolist() == [[0, 2], [2, 4]]
    assert narrow_tables[0][["hour", "end_hour"]].drop_duplicates().to_numpy().tolist() == [
        [0, 1],
        [1, 2],
    ]
    pd.testing.assert_frame_equal(
        cells.drop(columns=["hour", "end_hour"]),
        narrow_tables[0].drop(columns=["hour", "end_hour"]),
    )
    pd.testing.assert_frame_equal(wide_tables[1], narrow_tables[1])


def test_a_cell_never_perturbed_has_no_ganzp_and_no_sensitivity(attack: Attack) -> None:
    found = cell(run(attack)[0], "0→1", "best", 1, "spo2")
    assert np.isnan(found.ganzp)
    assert found[["gmp", "gap", "gpp", "s", "sensitivity", "s_low", "s_high"]].eq(0).all()


def test_measurements_sum_over_the_hours_and_are_ranked(attack: Attack) -> None:
    by_cell, by_measurement = run(attack)
    for (direction, kind), table in by_measurement.groupby(["direction", "kind"]):
        cells = by_cell[(by_cell.direction == direction) & (by_cell.kind == kind)].groupby(
            "measurement"
        )
        for name in ("s", "sensitivity"):
            np.testing.assert_allclose(
                table.set_index("measurement")[name],
                cells[name].sum()[table.measurement],
                rtol=1e-12,
            )
        assert sorted(table["rank"]) == list(range(1, M + 1))
        assert table.sort_values("rank").s.is_monotonic_decreasing
    first = by_measurement[
        (by_measurement.direction == "0→1") & (by_measurement.kind == "first")
    ].set_index("measurement")
    assert first.s["lactate"] == pytest.approx(0.5 * 2 / 3 + 0.1 / 3, rel=1e-6)
    assert first["rank"]["lactate"] == 1


def test_filters_by_l0_keep_the_second_denominator(attack: Attack) -> None:
    found = cell(run(attack, min_l0=2, max_l0=2)[0], "0→1", "first", 1, "bun")
    assert (found.examples, found.attacked, found.gpp) == (1, 4, 1)
    assert found.gpp_all == 0.25


def test_an_empty_group_gives_zeros_and_no_interval(attack: Attack) -> None:
    by_cell, by_measurement = run(attack)
    nothing = by_cell[(by_cell.direction == "1→0") & (by_cell.kind == "first")]
    assert len(nothing) == CELLS
    assert (
        nothing[
            ["gmp", "gap", "gpp", "s", "sensitivity", "gap_all", "gpp_all", "s_all", "examples"]
        ]
        .eq(0)
        .all(axis=None)
    )
    assert nothing[["ganzp", "s_low", "s_high", "gpp_low", "gpp_high"]].isna().all(axis=None)
    assert (nothing.attacked == 1).all()
    assert by_measurement[by_measurement.examples == 0][["s_low", "rank_low"]].isna().all(axis=None)


def test_a_direction_that_was_never_attacked() -> None:
    by_cell, _ = run(build([(1, 1, "0→1", kind, [(0, 0, 0.5)]) for kind in KINDS]))
    assert by_cell[by_cell.direction == "1→0"][["s", "gpp_all", "attacked"]].eq(0).all(axis=None)


def test_no_attacked_stay_at_all(attack: Attack) -> None:
    none = Attack(attack.examples[:0], attack.perturbations[:0], attack.cohort)
    assert run(none)[0][["s", "gpp_all", "attacked"]].eq(0).all(axis=None)


sizes = st.integers(1, 1000).map(lambda n: n / 1024)  # exact in float32
cells = st.dictionaries(
    st.tuples(st.sampled_from(HOURS), st.integers(0, M - 1)),
    st.tuples(sizes, st.sampled_from([-1, 1])),
    min_size=1,
    max_size=6,
)


@st.composite
def attacks(draw: st.DrawFn) -> list[Example]:
    rows: list[Example] = []
    for stay in range(draw(st.integers(1, 6))):
        subject, direction = draw(st.integers(0, 2)), draw(st.sampled_from(DIRECTIONS))
        for kind in KINDS:
            changed = draw(st.none() | cells)
            rows.append(
                (
                    stay,
                    subject,
                    direction,
                    kind,
                    changed
                    and [(h, j, sign * size) for (h, j), (size, sign) in sorted(changed.items())],
                )
            )
    return rows


@given(attacks(), st.integers(1, 3), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_agrees_with_a_slow_reference(rows: list[Example], min_l0: int, max_l0: int) -> None:
    found = run(build(rows), min_l0, max_l0, resamples=2)[0].set_index(
        ["direction", "kind", "hour", "measurement"]
    )
    for direction in DIRECTIONS:
        for kind in KINDS:
            attacked = [
                {(h, j): abs(d) for h, j, d in r[4] or []}
                for r in rows
                if r[2:4] == (direction, kind)
            ]
            examples = [e for e in attacked if min_l0 <= len(e) <= max_l0]
            for hour in HOURS:
                for j, name in enumerate(NAMES):
                    sizes = [e[hour, j] for e in examples if (hour, j) in e]
                    gpp = len(sizes) / len(examples) if examples else 0
                    gmp = max(sizes, default=0)
                    ganzp = mean(sizes) if sizes else float("nan")
                    expected = {
                        "gmp": gmp,
                        "gap": sum(sizes) / max(len(examples), 1),
                        "gpp": gpp,
                        "ganzp": ganzp,
                        "s": gmp * gpp,
                    }
                    expected |= {
                        "sensitivity": gpp / ganzp if sizes else 0,
                        "s_all": gmp * len(sizes) / max(len(attacked), 1),
                    }
                    row = found.loc[direction, kind, hour, name]
                    for column, value in expected.items():
                        assert row[column] == pytest.approx(value, rel=1e-9, nan_ok=True), column


def many(subjects: int) -> list[Example]:
    """One stay and one best example per subject: lactate at hour 0 by n / 1024, every second one also bun at hour 1."""
    return [
        (n, n, "0→1", "best", [(0, 4, n / 1024)] + [(1, 6, 0.5)] * (n % 2))
        for n in range(1, subjects + 1)
    ]


def test_resamples_agree_with_a_slow_reference() -> None:
    """The same draws of subjects, with repetition, and the maximum over the drawn subjects alone."""
    g = group(*vars(build(many(9))).values(), "0→1", "best", HOURS, 1, 912)
    gpp, s = resample(g, CELLS, 30)
    rng = np.random.default_rng(0)
    for b in range(30):
        drawn = [int(n) + 1 for n in rng.integers(9, size=9)]  # subjects 1..9
        assert s[b, 4] == pytest.approx(max(drawn) / 1024)
        assert gpp[b, M + 6] == pytest.approx(sum(n % 2 for n in drawn) / 9)
        assert s[b, M + 6] == pytest.approx(0.5 * gpp[b, M + 6])


def test_stays_of_one_subject_are_drawn_together() -> None:
    rows: list[Example] = [(n, 1, "0→1", "best", [(0, 4, n / 8)]) for n in (1, 2, 3)]
    found = cell(run(build(rows))[0], "0→1", "best", 0, "lactate")
    assert found.s_low == found.s == found.s_high
    assert found.gpp_low == found.gpp == found.gpp_high == 1


def test_weights_count_a_subject_as_often_as_it_is_drawn() -> None:
    g = group(*vars(build(many(3))).values(), "0→1", "best", HOURS, 1, 912)
    gmp, count, total = measure(g, np.array([2, 1, 0]), CELLS)
    assert (gmp[4] * 1024, count[4], total[4] * 1024) == (2, 3, 2 * 1 + 2)
    assert (gmp[M + 6], count[M + 6]) == (0.5, 2)


def test_intervals_hold_the_estimate_and_do_not_change() -> None:
    attack = build(many(60))
    once, twice = run(attack, resamples=200), run(attack, resamples=200)
    for one, other in zip(once, twice, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    found = cell(once[0], "0→1", "best", 1, "bun")
    assert found.gpp_low < found.gpp < found.gpp_high
    assert found.s_low < found.s < found.s_high
    half_width = 1.96 * (0.25 / 60) ** 0.5  # of a proportion of 1/2
    assert found.gpp_high - found.gpp_low == pytest.approx(2 * half_width, rel=0.25)
    ranked = once[1][(once[1].direction == "0→1") & (once[1].kind == "best")].set_index(
        "measurement"
    )
    assert (ranked.s_low <= ranked.s).all()
    assert (ranked.s <= ranked.s_high).all()
    assert (ranked.rank_low <= ranked["rank"]).all()
    assert (ranked["rank"] <= ranked.rank_high).all()
