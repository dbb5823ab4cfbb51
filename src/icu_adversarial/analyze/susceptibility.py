"""How far, how often and how easily each cell is perturbed.

A cell is a bin of hours and a measurement. The main number is A, the mean of |P| over all N
attacked stays of one direction, where a stay without an example counts as 0. A_j of a measurement
is the sum over its bins. Directions and data sets are compared on A.

The other numbers describe the K successful examples as the literature does (Sun et al. 2018), in
model input units: GMP = max |P|; GAP = sum |P| / K; GPP = #{P != 0} / K; GANZP = mean of the
non-zero |P|; S = GMP * GPP; sensitivity = GPP / GANZP. GPP_all and S_all divide by N instead of K.
They have no interval, because a maximum grows with the number of examples, and so does S. A cell
that no example perturbs has an undefined GANZP (NaN) and sensitivity 0.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from icu_adversarial.analyze.groups import DIRECTIONS, KINDS, Group, group, measured_cells
from icu_adversarial.analyze.intervals import interval, rank_sets

FEWEST_PATIENTS = 5  # with fewer, a cell or measurement has no interval and is grey in maps


def tables(
    g: Group, hours: range, names: Sequence[str], known: np.ndarray, resamples: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The numbers of every cell (T * M rows, hour <= time < end_hour) and every measurement.

    Args:
        g: of one direction and kind.
        hours: the first hour of each bin.
        names: the measurements, M.
        known: bool (M,), whether any stay of the data has a value of the measurement.
        resamples: of folds and subjects, for the ranks.

    Returns:
        The cells in the order of the grid, and the measurements: M rows with `fold` "all" (rank 1
        is the largest A; for rank_low and rank_high see `intervals.rank_sets`). If there are
        several models, M more rows for each model have its own A and rank. A cell or measurement
        has no interval if it is perturbed in fewer than FEWEST_PATIENTS subjects. a_observed is
        the mean |P| of the cells with a measured value, NaN if there are none.
    """
    m = len(names)
    t, k, n, common = len(hours), max(g.k, 1), max(g.n, 1), {"examples": g.k, "attacked": g.n}
    total, gpp = g.sample.change.sum(axis=0), g.count / k
    ganzp = np.divide(total, g.count, out=np.full(t * m, np.nan), where=g.count > 0)
    sensitivity = np.divide(gpp, ganzp, out=np.zeros(t * m), where=g.count > 0)
    s = g.largest * gpp
    low, high, patients = _interval(g)
    by_cell = pd.DataFrame(
        {
            "hour": np.repeat(hours, m),
            "end_hour": np.repeat(hours, m) + hours.step,
            "measurement": np.tile(names, t),
            "a": total / n,
            "a_low": low,
            "a_high": high,
            "a_observed": _ratio(g.measured_total, g.measured),
            "gmp": g.largest,
            "gap": total / k,
            "gpp": gpp,
            "ganzp": ganzp,
            "s": s,
            "sensitivity": sensitivity,
            "gpp_all": g.count / n,
            "s_all": g.largest * g.count / n,
            "patients": patients,
            "known": np.tile(known.astype(np.int64), t),
            **common,
        }
    )

    def summed(values: np.ndarray) -> np.ndarray:
        return values.reshape(t, m).sum(axis=0)

    whole = replace(g, sample=g.sample._replace(change=_over_bins(g.sample.change, m)))
    low, high, patients = _interval(whole)
    a = summed(total) / n
    lowest, highest = rank_sets(whole.sample, resamples) if g.k else (np.full(m, np.nan),) * 2
    pooled = pd.DataFrame(
        {
            "fold": "all",
            "measurement": names,
            "a": a,
            "a_low": low,
            "a_high": high,
            "rank": _ranks(a),
            "rank_low": lowest,
            "rank_high": highest,
            "a_observed": _ratio(summed(g.measured_total), summed(g.measured)),
            "s": summed(s),
            "sensitivity": summed(sensitivity),
            "patients": patients,
            "known": known.astype(np.int64),
            **common,
        }
    )
    return by_cell, pd.concat([pooled, *_single_folds(whole, names, known)], ignore_index=True)


def susceptibility(
    examples: pd.DataFrame,
    perturbations: pd.DataFrame,
    cohort: pd.DataFrame,
    grid: np.ndarray,
    *,
    hours: range,
    names: Sequence[str],
    min_l0: int,
    max_l0: int,
    resamples: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The `tables` of both directions and kinds, with these as first columns.

    Args:
        examples, perturbations, cohort: schemas.EXAMPLES, PERTURBATIONS and COHORT.
        grid: (N, T, M) in the order of `cohort`, NaN = not measured.
        hours: the first hour of each bin.
        names: the measurements, M.
        min_l0, max_l0: examples with another L0 count as 0, as failures do.
        resamples: of folds and subjects, for the ranks.
    """
    known = measured_cells(grid, np.arange(len(grid))).sum(axis=0) > 0
    found = []
    for direction in DIRECTIONS:
        for kind in KINDS:
            g = group(
                *(examples, perturbations, cohort, grid, direction, kind),
                *(hours, names, min_l0, max_l0),
            )
            pair = tables(g, hours, names, known, resamples)
            for table in pair:
                table.insert(0, "direction", direction)
                table.insert(1, "kind", kind)
            found.append(pair)
    by_cell, by_measurement = zip(*found, strict=True)
    return pd.concat(by_cell, ignore_index=True), pd.concat(by_measurement, ignore_index=True)


def _interval(g: Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest and highest A, and the subjects in which each cell is perturbed, each (C,)."""
    change = g.sample.change
    patients = np.bincount(change.indices, minlength=change.shape[1])
    bounds = interval(g.sample) if g.n else (np.full(len(patients), np.nan),) * 2
    low, high = (np.where(patients < FEWEST_PATIENTS, np.nan, bound) for bound in bounds)
    return low, high, patients


def _over_bins(change: csr_array, m: int) -> csr_array:
    """(S, T * M) → (S, M)."""
    cells = change.shape[1]
    column = np.arange(cells) % m
    return csr_array(change @ csr_array((np.ones(cells), (np.arange(cells), column))))


def _single_folds(g: Group, names: Sequence[str], known: np.ndarray) -> list[pd.DataFrame]:
    """A and rank of each measurement by the model of each fold; nothing if there is one model."""
    found = []
    for i, fold in enumerate(g.folds if len(g.folds) > 1 else ()):
        rows = np.flatnonzero(g.sample.fold == i)
        n = int(g.sample.stays[rows].sum())
        a = g.sample.change[rows].sum(axis=0) / n
        own = {"fold": str(fold), "measurement": names, "a": a, "rank": _ranks(a)}
        counts = {"examples": g.examples[i], "attacked": n}
        found.append(pd.DataFrame({**own, "known": known.astype(np.int64), **counts}))
    return found


def _ratio(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the number is 0."""
    return np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)


def _ranks(values: np.ndarray) -> np.ndarray:
    """1 + the number of larger values; equal values share a rank. (n,) → int (n,)."""
    return 1 + (values > values[:, None]).sum(axis=1)
