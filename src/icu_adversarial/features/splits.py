"""The held-out test set and the folds: always whole subjects, stratified by outcome."""

import numpy as np
from jaxtyping import Bool, Int, Int8, Shaped
from sklearn.model_selection import StratifiedKFold, train_test_split

from icu_adversarial.core.errors import InputError


def choose_test(
    subject_id: Int[np.ndarray, " N"],
    died: Shaped[np.ndarray, " N"],
    source_group: Shaped[np.ndarray, " N"],
    *,
    fraction: float,
    groups: tuple[str, ...],
    seed: int,
) -> Bool[np.ndarray, " N"]:
    """Choose the stays of the held-out test set.

    Args:
        subject_id: The subject of each stay.
        died: The outcome of each stay, 0 or 1.
        source_group: The source group of each stay, a name.
        fraction: The share of the subjects that is drawn, if there are no groups.
        groups: The source groups that are the test set. A subject with one stay in them is in the
            test set with all stays.
        seed: Seed of the draw.

    Returns:
        The stays of the test set.

    Raises:
        InputError: A group does not occur, or an outcome has too few subjects.
    """
    subjects, any_died, index = _subjects(subject_id, died)
    if groups:
        unknown = sorted(set(groups) - set(source_group))
        if unknown:
            raise InputError(
                f"split.test_groups: {', '.join(unknown)} not among the source groups of the "
                f"cohort: {', '.join(sorted(set(source_group)))}"
            )
        chosen = np.bincount(index, weights=np.isin(source_group, groups)) > 0
        return chosen[index]
    try:
        _, test = train_test_split(
            np.arange(len(subjects)), test_size=fraction, stratify=any_died, random_state=seed
        )
    except ValueError as error:
        raise InputError(
            f"split.test_fraction {fraction:g}: {len(subjects)} subjects, {any_died.sum()} with "
            f"the outcome: {error}"
        ) from None
    return np.isin(index, test)


def assign_folds(
    subject_id: Int[np.ndarray, " N"], died: Shaped[np.ndarray, " N"], *, folds: int, seed: int
) -> Int8[np.ndarray, " N"]:
    """Divide stays into folds.

    Args:
        subject_id: The subject of each stay.
        died: The outcome of each stay, 0 or 1.
        folds: Number of folds.
        seed: Seed of the division.

    Returns:
        The fold of every stay, 0 to folds - 1.

    Raises:
        InputError: An outcome has fewer subjects than there are folds.
    """
    subjects, any_died, index = _subjects(subject_id, died)
    rarer = min(any_died.sum(), (~any_died).sum())
    if rarer < folds:
        raise InputError(
            f"{folds} folds need {folds} subjects of each outcome: found {any_died.sum()} with "
            f"the outcome and {(~any_died).sum()} without"
        )
    fold = np.empty(len(subjects), np.int8)
    division = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for k, (_, held_out) in enumerate(division.split(subjects, any_died)):
        fold[held_out] = k
    return fold[index]


def some_subjects(
    subject_id: Int[np.ndarray, " N"], share: float, seed: int
) -> Bool[np.ndarray, " N"]:
    """Choose a share of the subjects at random.

    Args:
        subject_id: The subject of each stay.
        share: The share, in [0, 1]. A larger share contains the subjects of a smaller one.
        seed: Seed of the order of the subjects.

    Returns:
        The stays of the chosen subjects.
    """
    subjects, index = np.unique(subject_id, return_inverse=True)
    rank = np.random.default_rng(seed).permutation(len(subjects))
    return rank[index] < round(share * len(subjects))


def _subjects(
    subject_id: np.ndarray, died: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted subjects, whether any stay of each ended in death, each stay's subject by index."""
    subjects, index = np.unique(subject_id, return_inverse=True)
    return subjects, np.bincount(index, weights=died) > 0, index
