"""Formulas by hand, an independent slow reference, empty directions, and single folds."""

from statistics import mean

import numpy as np
import pandas as pd
import pytest
from analysis_tables import Attack, Example, build, nothing_measured
from hypothesis import given, settings
from hypothesis import strategies as st
from literature_set import NAMES, M

from icu_adversarial.analyze.groups import DIRECTIONS, KINDS
from icu_adversarial.analyze.susceptibility import susceptibility
from icu_adversarial.core.errors import InputError

HOURS = range(2)
CELLS = len(HOURS) * M


def run(
    attack: Attack,
    min_l0: int = 1,
    max_l0: int = 912,
    resamples: int = 20,
    hours: range = HOURS,
    grid: np.ndarray | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables. By default, no cell is measured."""
    return susceptibility(
        attack.examples,
        attack.perturbations,
        attack.cohort,
        nothing_measured(attack, len(hours)) if grid is None else grid,
        hours=hours,
        names=NAMES,
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
    """Lactate at hour 0, first examples of 0→1: |P| = 0.5, 0.3, 0; K = 3 examples, N = 4 stays."""
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
    expected |= {"a": 0.2, "gpp_all": 0.5, "s_all": 0.25, "patients": 1, "known": 0}
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


def test_bins_of_two_hours_have_the_numbers_of_bins_of_one_hour(attack: Attack) -> None:
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
    assert found[["a", "gmp", "gap", "gpp", "s", "sensitivity", "patients"]].eq(0).all()
    assert found[["a_low", "a_high"]].isna().all()


def test_measurements_sum_over_the_hours_and_are_ranked_by_a(attack: Attack) -> None:
    by_cell, by_measurement = run(attack)
    pooled = by_measurement[by_measurement.fold == "all"]
    for (direction, kind), table in pooled.groupby(["direction", "kind"]):
        cells = by_cell[(by_cell.direction == direction) & (by_cell.kind == kind)].groupby(
            "measurement"
        )
        for name in ("a", "s", "sensitivity"):
            np.testing.assert_allclose(
                table.set_index("measurement")[name],
                cells[name].sum()[table.measurement],
                rtol=1e-12,
            )
        assert table["rank"].tolist() == [1 + sum(table.a > a) for a in table.a]
    first = pooled[(pooled.direction == "0→1") & (pooled.kind == "first")].set_index("measurement")
    assert first.a[["lactate", "bun", "potassium"]].tolist() == pytest.approx([0.225, 0.2, 0.15])
    assert first["rank"][["lactate", "bun", "potassium", "ph", "spo2"]].tolist() == [1, 2, 3, 4, 4]
    assert first.s["lactate"] == pytest.approx(0.5 * 2 / 3 + 0.1 / 3, rel=1e-6)


def test_s_does_not_decide_the_order() -> None:
    """Potassium moves in nine stays; lactate once by much and three times by almost nothing."""
    rows: list[Example] = [
        (n, n, "0→1", "best", [(0, 0, 0.25), *[(0, 4, 0.03125)] * (n < 4)]) for n in range(1, 10)
    ]
    rows.append((10, 10, "0→1", "best", [(0, 4, 0.875)]))
    table = run(build(rows))[1]
    best = table[(table.direction == "0→1") & (table.kind == "best") & (table.fold == "all")]
    best = best.set_index("measurement")
    assert best.s["potassium"] < best.s["lactate"]
    assert best.a["potassium"] > best.a["lactate"]
    assert best["rank"][["potassium", "lactate"]].tolist() == [1, 2]


def test_each_fold_has_its_own_values_and_ranks(attack: Attack) -> None:
    """Subjects 1 and 3 (stays 1, 2 and 4) met the model of fold 1, subject 2 that of fold 0."""
    table = run(attack)[1]
    first = table[(table.direction == "0→1") & (table.kind == "first")]
    assert first.fold.tolist() == ["all"] * M + ["0"] * M + ["1"] * M
    zero, one = (first[first.fold == name].set_index("measurement") for name in ("0", "1"))
    assert zero.a[["potassium", "bun", "lactate"]].tolist() == pytest.approx([0.4, 0.8, 0])
    assert one.a[["potassium", "bun", "lactate"]].tolist() == pytest.approx([0.2 / 3, 0, 0.3])
    assert zero["rank"][["bun", "potassium"]].tolist() == [1, 2]
    assert one["rank"][["lactate", "potassium"]].tolist() == [1, 2]
    assert zero[["examples", "attacked"]].drop_duplicates().to_numpy().tolist() == [[1, 1]]
    assert one[["examples", "attacked"]].drop_duplicates().to_numpy().tolist() == [[2, 3]]
    single = pd.concat([zero, one])
    assert single[["a_low", "a_high", "rank_low", "rank_high"]].isna().all(axis=None)


@pytest.mark.parametrize("fold", [-1, -2])
def test_one_model_has_no_rows_of_single_folds(attack: Attack, fold: int) -> None:
    one = Attack(attack.examples.assign(fold=np.int8(fold)), attack.perturbations, attack.cohort)
    assert set(run(one)[1].fold) == {"all"}


def test_a_per_measured_cell_counts_measured_cells_alone(attack: Attack) -> None:
    """Of the attacked stays 1 to 4, lactate is measured at hour 0 in 1, 2 and 4, once at hour 1."""
    grid = nothing_measured(attack)
    grid[[0, 1, 3], 0, 4] = 1
    grid[0, 1, 4] = 1
    grid[4, 0, 18] = 1  # a stay of the other direction
    cells = attack.perturbations
    seen = (cells.measurement == "lactate") & (cells.hour == 0) & (cells.stay_id == 1)
    by_cell, by_measurement = run(
        Attack(attack.examples, cells.assign(observed=seen), attack.cohort), grid=grid
    )
    first = by_measurement[(by_measurement.direction == "0→1") & (by_measurement.kind == "first")]
    pooled = first[first.fold == "all"].set_index("measurement")
    assert cell(by_cell, "0→1", "first", 0, "lactate").a_observed == pytest.approx(0.5 / 3)
    assert cell(by_cell, "0→1", "first", 1, "lactate").a_observed == 0
    assert np.isnan(cell(by_cell, "0→1", "first", 0, "bun").a_observed)
    assert pooled.a_observed["lactate"] == pytest.approx(0.5 / 4)
    assert pooled.a_observed.drop("lactate").isna().all()
    assert pooled.known[pooled.known == 1].index.tolist() == ["lactate", "spo2"]
    assert by_cell[by_cell.known == 1].measurement.unique().tolist() == ["lactate", "spo2"]


def test_filters_by_l0_keep_the_second_denominator(attack: Attack) -> None:
    found = cell(run(attack, min_l0=2, max_l0=2)[0], "0→1", "first", 1, "bun")
    assert (found.examples, found.attacked, found.gpp) == (1, 4, 1)
    assert found.gpp_all == 0.25


def test_an_empty_group_gives_zeros_and_no_interval(attack: Attack) -> None:
    by_cell, by_measurement = run(attack)
    nothing = by_cell[(by_cell.direction == "1→0") & (by_cell.kind == "first")]
    assert len(nothing) == CELLS
    assert (
        nothing[["a", "gmp", "gap", "gpp", "s", "sensitivity", "gpp_all", "s_all", "examples"]]
        .eq(0)
        .all(axis=None)
    )
    assert nothing[["ganzp", "a_low", "a_high"]].isna().all(axis=None)
    assert (nothing.attacked == 1).all()
    assert by_measurement[by_measurement.examples == 0][["a_low", "rank_low"]].isna().all(axis=None)


def test_a_direction_that_was_never_attacked() -> None:
    by_cell, _ = run(build([(1, 1, "0→1", kind, [(0, 0, 0.5)]) for kind in KINDS]))
    assert (
        by_cell[by_cell.direction == "1→0"][["a", "s", "gpp_all", "attacked"]].eq(0).all(axis=None)
    )


def test_no_attacked_stay_at_all(attack: Attack) -> None:
    none = Attack(attack.examples[:0], attack.perturbations[:0], attack.cohort)
    assert run(none)[0][["a", "s", "gpp_all", "attacked"]].eq(0).all(axis=None)


def test_a_measurement_that_is_not_in_the_grid_is_refused(attack: Attack) -> None:
    cells = attack.perturbations.astype({"measurement": str})
    cells.loc[cells.index[0], "measurement"] = "urine"
    with pytest.raises(InputError, match="parquet: urine: not among the measurements of the model"):
        run(Attack(attack.examples, cells, attack.cohort))


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
            key = (direction, kind)
            attacked = [{(h, j): abs(d) for h, j, d in r[4] or []} for r in rows if r[2:4] == key]
            examples = [e for e in attacked if min_l0 <= len(e) <= max_l0]

            def touches(row: Example, hour: int, j: int, group: tuple[str, ...] = key) -> bool:
                changed = row[4] or []
                return (
                    row[2:4] == group
                    and min_l0 <= len(changed) <= max_l0
                    and (hour, j) in {(h, c) for h, c, _ in changed}
                )

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
                        "a": sum(sizes) / max(len(attacked), 1),
                        "patients": len({r[1] for r in rows if touches(r, hour, j)}),
                        "sensitivity": gpp / ganzp if sizes else 0,
                        "s_all": gmp * len(sizes) / max(len(attacked), 1),
                    }
                    row = found.loc[direction, kind, hour, name]
                    for column, value in expected.items():
                        assert row[column] == pytest.approx(value, rel=1e-9, nan_ok=True), column


def many(subjects: int) -> list[Example]:
    """One stay and one best example per subject: lactate at hour 0 by n / 1024.

    Every second one changes bun at hour 1 too, and the first four spo2.
    """
    return [
        (
            n,
            n,
            "0→1",
            "best",
            [(0, 4, n / 1024), *[(1, 6, 0.5)] * (n % 2), *[(1, 18, 1.0)] * (n < 5)],
        )
        for n in range(1, subjects + 1)
    ]


def test_intervals_and_sets_contain_the_estimate_and_do_not_change() -> None:
    attack = build(many(60))
    once, twice = run(attack, resamples=200), run(attack, resamples=200)
    for one, other in zip(once, twice, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    for table in once:
        shown = table.dropna(subset="a_low")
        assert len(shown) >= 2
        assert (shown.a_low < shown.a).all()
        assert (shown.a < shown.a_high).all()
    ranked = once[1].dropna(subset="rank_low")
    assert (ranked.rank_low <= ranked["rank"]).all()
    assert (ranked["rank"] <= ranked.rank_high).all()


def test_what_fewer_than_five_patients_perturb_has_no_interval() -> None:
    by_cell, by_measurement = run(build(many(60)))
    saturation = cell(by_cell, "0→1", "best", 1, "spo2")
    assert (saturation.patients, saturation.a) == (4, pytest.approx(4 / 60))
    assert np.isnan(saturation.a_low)
    pooled = by_measurement[(by_measurement.direction == "0→1") & (by_measurement.kind == "best")]
    pooled = pooled[pooled.fold == "all"].set_index("measurement")
    assert pooled.patients[["lactate", "bun", "spo2"]].tolist() == [60, 30, 4]
    assert pooled.a_low[["lactate", "bun", "spo2"]].isna().tolist() == [False, False, True]
    assert pooled.rank_low.notna().all()


def test_the_interval_is_wider_where_the_folds_models_differ() -> None:
    """The same sizes, in two folds that agree and in two that do not."""
    rows: list[Example] = [
        (n, n, "0→1", "best", [(0, 4, 0.25 + 0.5 * (n % 4 in (1, 2)))]) for n in range(40)
    ]
    alike = build(rows)  # fold = subject % 2: both sizes in both folds
    swapped = [0 if row[0] % 4 in (1, 2) else 1 for row in rows]
    apart = Attack(
        alike.examples.assign(fold=np.array(swapped, np.int8)), alike.perturbations, alike.cohort
    )
    near, far = (cell(run(a)[0], "0→1", "best", 0, "lactate") for a in (alike, apart))
    assert near.a == far.a == pytest.approx(0.5)
    assert far.a_high / far.a_low > 10 * near.a_high / near.a_low
