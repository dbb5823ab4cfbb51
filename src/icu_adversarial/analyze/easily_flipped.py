"""Who is easily flipped: how many and how large changes a flip needs, by group of patients.

The stage analyze writes the table, and the report shows it. A failed attack counts as a change
without end, so that a group with many failures does not look easy.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS
from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS
from icu_adversarial.features.groups import groups, in_order

CHANGED = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)  # numbers of changed values, k
SIZES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)  # sums of |P|, ε
RISKS = (0.02, 0.05, 0.1, 0.2, 0.5)  # limits of the bands of the predicted risk
ALL, RISK, MEASURED = "all patients", "predicted risk", "measured values"
FLIPPED, MEDIAN_CHANGED, MEDIAN_SIZE = "flipped", "median changed values", "median size"
WITHIN_CHANGED, WITHIN_SIZE = "flipped within k values", "flipped within ε"
COLUMNS = ("direction", "division", "group", "stays", "patients")
RESULT = ("quantity", "at", "value", "low", "high")
LEVEL = (0.025, 0.975)
SEED = 20240807
CHUNK = 256  # resamples in memory at a time


def easily_flipped(
    examples: pd.DataFrame,
    cohort: pd.DataFrame,
    risk: pd.Series | None,
    measured: np.ndarray,
    resamples: int,
) -> pd.DataFrame:
    """Describe the flips of each group of patients.

    Args:
        examples: schemas.EXAMPLES.
        cohort: schemas.COHORT.
        risk: The predicted risk by stay_id. None if the attacked model did not predict it.
        measured: The number of measured values of each stay of `cohort`, int (N,).
        resamples: How often subjects are drawn with replacement, for the 95 % intervals.

    Returns:
        Rows of COLUMNS and RESULT, in the order of the groups. A group with fewer than
        FEWEST_PATIENTS patients has one row without numbers. A median is NaN where fewer than half
        of the stays are flipped.
    """
    best = examples[examples.kind == "best"].reset_index(drop=True)
    place = pd.Index(cohort.stay_id).get_indexer(best.stay_id)
    stays = cohort.iloc[place].reset_index(drop=True)
    divisions = _divisions(stays, best.stay_id.map(risk) if risk is not None else None)
    divisions[MEASURED] = _thirds(measured[place])
    rows: list[dict[str, Any]] = []
    for direction in DIRECTIONS:
        chosen = (best.direction == direction).to_numpy()
        if not chosen.any():
            continue
        subject = np.unique(stays.subject_id[chosen], return_inverse=True)[1]
        norms = [best[name].where(best.success, np.inf)[chosen] for name in ("l0", "l1")]
        edits, sizes = (norm.to_numpy(np.float64) for norm in norms)
        for division, (member, names) in divisions.items():
            for name in names:
                inside = (member[chosen] == name).to_numpy()
                patients = len(np.unique(subject[inside]))
                about = (direction, division, name, int(inside.sum()), patients)
                if 0 < patients < FEWEST_PATIENTS:
                    rows.append(dict(zip(COLUMNS[:3], about[:3], strict=True)))
                elif patients:
                    shown = _numbers(edits[inside], sizes[inside], subject[inside], resamples)
                    rows += [dict(zip(COLUMNS, about, strict=True)) | row for row in shown]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *RESULT])
    return table.astype({"stays": "Int64", "patients": "Int64"})


def _divisions(
    stays: pd.DataFrame, risk: pd.Series | None
) -> dict[str, tuple[pd.Series, list[str]]]:
    """The group of each stay and the names of all groups in order, by division."""
    found = {ALL: (pd.Series(ALL, stays.index), [ALL])}
    if risk is not None:
        limits = [f"{limit:.0%}".replace("%", " %") for limit in RISKS]
        inner = [f"{low} to {high}" for low, high in pairwise(limits)]
        names = [f"below {limits[0]}", *inner, f"{limits[-1]} or more"]
        band = np.digitize(risk.to_numpy(), RISKS)
        found[RISK] = (pd.Series(np.array(names)[band], stays.index), names)
    for division, member in groups(stays).items():
        if division != "source_group":
            found[division] = (member, in_order(member))
    return found


def _thirds(measured: np.ndarray) -> tuple[pd.Series, list[str]]:
    """The third of each stay by its number of measured values, and the names of the thirds."""
    low, high = np.quantile(measured, (1 / 3, 2 / 3)).astype(int) if len(measured) else (0, 0)
    names = [f"{low:,} or fewer", f"{low + 1:,} to {high:,}", f"more than {high:,}"]
    third = np.digitize(measured, (low, high), right=True)
    return pd.Series(np.array(names)[third]), names


def _numbers(
    edits: np.ndarray, sizes: np.ndarray, subject: np.ndarray, resamples: int
) -> Iterator[dict[str, Any]]:
    """The rows of RESULT of one group.

    Args:
        edits, sizes: The number of changed values and the sum of |P| of each stay, inf for a
            failure, (n,).
        subject: The subject of each stay, int (n,).
        resamples: As in `easily_flipped`.
    """
    reached = np.column_stack(
        [
            np.isfinite(edits),
            *(edits <= k for k in CHANGED),
            *(sizes <= size for size in SIZES),
        ]
    ).astype(np.float64)
    names = [(FLIPPED, np.nan), *((WITHIN_CHANGED, k) for k in CHANGED)]
    names += [(WITHIN_SIZE, size) for size in SIZES]
    own = np.unique(subject, return_inverse=True)[1]
    patients = int(own.max()) + 1
    drawn = list(_draws(own, patients, resamples))
    shares = np.concatenate([w @ reached / w.sum(axis=1, keepdims=True) for w in drawn])
    low, high = np.quantile(shares, LEVEL, axis=0)
    exact = LEVEL[0] ** (1 / patients)  # a share of 0 or 1 does not vary in the resamples
    value = reached.mean(axis=0)
    low, high = np.where(value == 1, exact, low), np.where(value == 0, 1 - exact, high)
    for (quantity, at), *numbers in zip(names, value, low, high, strict=True):
        yield dict(zip(RESULT, (quantity, at, *numbers), strict=True))
    for quantity, norm in ((MEDIAN_CHANGED, edits), (MEDIAN_SIZE, sizes)):
        (middle,) = _medians(norm, np.ones((1, len(norm))))
        medians = np.concatenate([_medians(norm, w) for w in drawn])
        bounds = np.quantile(medians, LEVEL, method="inverted_cdf")  # an inf stays an inf
        limited = [number if np.isfinite(number) else np.nan for number in (middle, *bounds)]
        yield dict(zip(RESULT, (quantity, np.nan, *limited), strict=True))


def _draws(subject: np.ndarray, patients: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each stay is in a resample of the subjects: float (at most CHUNK, n)."""
    rng = np.random.default_rng(SEED)
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        times = rng.multinomial(patients, np.full(patients, 1 / patients), size)
        yield times[:, subject].astype(np.float64)


def _medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The median of values (n,) for each row of weights (R, n): float (R,)."""
    order = np.argsort(values, kind="stable")
    ordered, total = values[order], np.cumsum(weights[:, order], axis=1)
    half = total[:, -1:] / 2
    lower, upper = (total >= half).argmax(axis=1), (total > half).argmax(axis=1)
    return (ordered[lower] + ordered[upper]) / 2
