"""Where a model can be fooled: how often, how far and how easily each (bin, measurement) cell is perturbed (Sun et al. 2018).

Over the K successful examples of one direction and kind, |P| in model input units:
GMP = max |P|; GAP = sum |P| / K; GPP = #{P != 0} / K; GANZP = mean of the non-zero |P|; S = GMP * GPP; sensitivity = GPP / GANZP.
*_all: the same sums over all N attacked stays of the direction, where a failure counts as not perturbed.
A cell that no example touches has an undefined GANZP (NaN) and sensitivity 0. Without examples every number is 0 and every interval NaN.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from icu_adversarial.measurements import NAMES, M

DIRECTIONS = ("0→1", "1→0")
KINDS = ("first", "best")
INTERVAL = (0.025, 0.975)  # quantiles of the resamples
SEED = 0  # of the resamples


@dataclass(frozen=True)
class Group:
    """The examples of one direction and kind, summed per subject and cell. cell = bin * 19 + measurement.

    The entries (subject, cell, count, total, largest) are sorted by `largest`: int, int, examples that perturb it, sum and maximum of |P|.
    """

    attacked: int  # N, stays
    subject_examples: np.ndarray  # (subjects,): K is its sum
    subject: np.ndarray
    cell: np.ndarray
    count: np.ndarray
    total: np.ndarray
    largest: np.ndarray

    @property
    def examples(self) -> int:
        """K."""
        return int(self.subject_examples.sum())


def select(
    examples: pd.DataFrame, direction: str, kind: str, min_l0: int, max_l0: int
) -> pd.DataFrame:
    """The successful rows of tables.EXAMPLES of one direction and kind with min_l0 <= L0 <= max_l0."""
    return examples[
        (examples.direction == direction)
        & (examples.kind == kind)
        & examples.success
        & examples.l0.between(min_l0, max_l0)
    ]


def group(
    examples: pd.DataFrame,
    perturbations: pd.DataFrame,
    cohort: pd.DataFrame,
    direction: str,
    kind: str,
    hours: range,
    min_l0: int,
    max_l0: int,
) -> Group:
    """Tables of tables.EXAMPLES, PERTURBATIONS and COHORT → the sums of one direction and kind. hours: the first hour of each bin."""
    chosen = select(examples, direction, kind, min_l0, max_l0)
    attacked = int(((examples.direction == direction) & (examples.kind == kind)).sum())
    subject_of = cohort.set_index("stay_id").subject_id
    names, subject = np.unique(
        chosen.stay_id.map(subject_of).to_numpy(np.int64), return_inverse=True
    )
    number = pd.Series(subject, index=chosen.stay_id.to_numpy())
    cells = perturbations[(perturbations.kind == kind) & perturbations.stay_id.isin(chosen.stay_id)]
    columns = pd.Index(NAMES).get_indexer(pd.Index(cells.measurement))
    entries = (
        pd.DataFrame(
            {
                "subject": number.reindex(cells.stay_id).to_numpy(np.int64),
                "cell": cells.hour.to_numpy(np.int64) // hours.step * M + columns,
                "size": cells.delta.abs().to_numpy(np.float64),
            }
        )
        .groupby(["subject", "cell"], as_index=False)["size"]
        .agg(["count", "sum", "max"])
        .sort_values(["max", "cell", "subject"])
    )
    return Group(
        attacked,
        np.bincount(subject, minlength=len(names)),
        *(entries[c].to_numpy() for c in ("subject", "cell", "count", "sum", "max")),
    )


def measure(g: Group, weights: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """weights: (subjects,) how often each subject is drawn. Returns GMP, the number of perturbing examples and the sum of |P|, each (cells,)."""
    times = weights[g.subject]
    drawn = times > 0
    gmp = np.zeros(cells)
    gmp[g.cell[drawn]] = g.largest[drawn]  # of repeated cells the last, and so the largest, stays
    return (
        gmp,
        np.bincount(g.cell, times * g.count, cells),
        np.bincount(g.cell, times * g.total, cells),
    )


def resample(g: Group, cells: int, resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """GPP and S, each (resamples, cells), of the group with as many subjects drawn with replacement. The maximum is over the drawn subjects."""
    rng = np.random.default_rng(SEED)
    n = len(g.subject_examples)
    gpp, s = np.empty((resamples, cells)), np.empty((resamples, cells))
    for b in range(resamples):
        weights = np.bincount(rng.integers(n, size=n), minlength=n)
        gmp, count, _ = measure(g, weights, cells)
        gpp[b] = count / (weights @ g.subject_examples)
        s[b] = gmp * gpp[b]
    return gpp, s


def tables(g: Group, hours: range, resamples: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every cell (T * 19 rows: hour <= time < end_hour) and every measurement (19 rows: S_j and sensitivity summed over the bins, rank 1 = most
    susceptible). hours: the first hour of each bin.

    *_low and *_high: 95 % percentile bootstrap over subjects. GMP is a maximum, which a resample can only lower: intervals of S lean downwards.
    """
    t, k = len(hours), g.examples
    cells = t * M
    gmp, count, total = measure(g, np.ones(len(g.subject_examples), np.int64), cells)
    gpp, gpp_all = count / max(k, 1), count / max(g.attacked, 1)
    ganzp = np.divide(total, count, out=np.full(cells, np.nan), where=count > 0)
    sensitivity = np.divide(gpp, ganzp, out=np.zeros(cells), where=count > 0)
    s = gmp * gpp
    gpp_b, s_b = resample(g, cells, resamples) if k else (np.full((1, cells), np.nan),) * 2
    s_j_b = s_b.reshape(-1, t, M).sum(1)
    gpp_low, gpp_high = np.quantile(gpp_b, INTERVAL, axis=0)
    s_low, s_high = np.quantile(s_b, INTERVAL, axis=0)
    by_cell = pd.DataFrame(
        {
            "hour": np.repeat(hours, M),
            "end_hour": np.repeat(hours, M) + hours.step,
            "measurement": np.tile(NAMES, t),
            **{
                "gmp": gmp,
                "gap": total / max(k, 1),
                "gpp": gpp,
                "gpp_low": gpp_low,
                "gpp_high": gpp_high,
                "ganzp": ganzp,
            },
            **{"s": s, "s_low": s_low, "s_high": s_high, "sensitivity": sensitivity},
            **{
                "gap_all": total / max(g.attacked, 1),
                "gpp_all": gpp_all,
                "s_all": gmp * gpp_all,
                "examples": k,
                "attacked": g.attacked,
            },
        }
    )
    s_j = s.reshape(t, M).sum(0)
    s_low, s_high = np.quantile(s_j_b, INTERVAL, axis=0)
    rank_low, rank_high = np.quantile(_ranks(s_j_b), INTERVAL, axis=0, method="nearest")
    by_measurement = pd.DataFrame(
        {
            **{"measurement": NAMES, "s": s_j, "s_low": s_low, "s_high": s_high},
            **{
                "rank": _ranks(s_j[None])[0],
                "rank_low": rank_low if k else np.nan,
                "rank_high": rank_high if k else np.nan,
            },
            **{
                "sensitivity": sensitivity.reshape(t, M).sum(0),
                "examples": k,
                "attacked": g.attacked,
            },
        }
    )
    return by_cell, by_measurement


def susceptibility(
    examples: pd.DataFrame,
    perturbations: pd.DataFrame,
    cohort: pd.DataFrame,
    *,
    hours: range,
    min_l0: int,
    max_l0: int,
    resamples: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of both directions and kinds, with these as first columns: 4 * T * 19 rows and 4 * 19 rows. hours: the first hour of each bin."""
    found = []
    for direction in DIRECTIONS:
        for kind in KINDS:
            pair = tables(
                group(examples, perturbations, cohort, direction, kind, hours, min_l0, max_l0),
                hours,
                resamples,
            )
            for table in pair:
                table.insert(0, "direction", direction)
                table.insert(1, "kind", kind)
            found.append(pair)
    by_cell, by_measurement = zip(*found, strict=True)
    return pd.concat(by_cell, ignore_index=True), pd.concat(by_measurement, ignore_index=True)


def _ranks(values: np.ndarray) -> np.ndarray:
    """(rows, 19) → the same shape: 1 for the largest of a row; ties in column order."""
    return np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1) + 1
