"""Held-out test set and folds: always whole subjects, stratified by outcome."""

import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from icu_adversarial.core.errors import InputError


def _subjects(
    subject_id: np.ndarray, died: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted subjects, whether any stay of each ended in death, and each stay's subject as an index."""
    subjects, index = np.unique(subject_id, return_inverse=True)
    return subjects, np.bincount(index, weights=died) > 0, index


def choose_test(
    subject_id: np.ndarray,
    died: np.ndarray,
    source_group: np.ndarray,
    *,
    fraction: float,
    groups: tuple[str, ...],
    seed: int,
) -> np.ndarray:
    """Stays of the held-out test set, bool (N,).

    With `groups`: the stays of these source groups; a subject with stays on both sides is wholly in the test set.
    Otherwise `fraction` of the subjects at random. Raises InputError for an unknown group or an outcome with too few subjects.
    """
    subjects, any_died, index = _subjects(subject_id, died)
    if groups:
        unknown = sorted(set(groups) - set(source_group))
        if unknown:
            raise InputError(
                f"split.test_groups: {', '.join(unknown)} not among the source groups of the cohort: {', '.join(sorted(set(source_group)))}"
            )
        chosen = np.bincount(index, weights=np.isin(source_group, groups)) > 0
        return chosen[index]
    try:
        _, test = train_test_split(
            np.arange(len(subjects)), test_size=fraction, stratify=any_died, random_state=seed
        )
    except ValueError as error:
        raise InputError(
            f"split.test_fraction {fraction:g}: {len(subjects)} subjects, {any_died.sum()} with a death: {error}"
        ) from None
    return np.isin(index, test)


def assign_folds(subject_id: np.ndarray, died: np.ndarray, *, folds: int, seed: int) -> np.ndarray:
    """Fold 0..folds-1 of every stay, int8 (N,). Raises InputError when an outcome has fewer subjects than folds."""
    subjects, any_died, index = _subjects(subject_id, died)
    rarer = min(any_died.sum(), (~any_died).sum())
    if rarer < folds:
        raise InputError(
            f"{folds} folds need {folds} subjects of each outcome: found {any_died.sum()} with a death and {(~any_died).sum()} without"
        )
    fold = np.empty(len(subjects), np.int8)
    for k, (_, held_out) in enumerate(
        StratifiedKFold(folds, shuffle=True, random_state=seed).split(subjects, any_died)
    ):
        fold[held_out] = k
    return fold[index]


def some_subjects(subject_id: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The stays of `share` of the subjects, at random, bool (N,). A larger share keeps the subjects of a smaller one."""
    subjects, index = np.unique(subject_id, return_inverse=True)
    rank = np.random.default_rng(seed).permutation(len(subjects))
    return rank[index] < round(share * len(subjects))
