import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icu_adversarial.core.errors import InputError
from icu_adversarial.features.splits import assign_folds, choose_test, some_subjects


def cohort(seed: int, subjects: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Subjects with one to four stays each, about 15 % deaths, the last stay only."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), rng.integers(1, 5, subjects))
    last = np.r_[np.diff(subject) != 0, True]
    return subject, last & (rng.random(len(subject)) < 0.15)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_one_subject_in_two_folds_is_ruled_out(seed: int) -> None:
    subject, died = cohort(seed)
    test = choose_test(
        subject, died, np.full(len(subject), "g"), fraction=0.2, groups=(), seed=seed
    )
    fold = np.full(len(subject), -1)
    fold[~test] = assign_folds(subject[~test], died[~test], folds=3, seed=seed)
    for s in np.unique(subject):
        assert len(set(fold[subject == s])) == 1
    assert set(fold) == {-1, 0, 1, 2}


def test_folds_have_the_same_share_of_deaths() -> None:
    subject, died = cohort(1, subjects=1000)
    fold = assign_folds(subject, died, folds=5, seed=3)
    deaths = [died[fold == k].sum() for k in range(5)]
    assert max(deaths) - min(deaths) <= 1


def test_folds_do_not_depend_on_the_order_of_the_stays() -> None:
    subject, died = cohort(2)
    order = np.random.default_rng(0).permutation(len(subject))
    np.testing.assert_array_equal(
        assign_folds(subject, died, folds=4, seed=9)[order],
        assign_folds(subject[order], died[order], folds=4, seed=9),
    )


def test_test_fraction_is_of_the_subjects() -> None:
    subject, died = cohort(4, subjects=500)
    test = choose_test(subject, died, np.full(len(subject), "g"), fraction=0.2, groups=(), seed=1)
    assert len(np.unique(subject[test])) == 100


def test_groups_form_the_test_set_with_all_stays_of_their_subjects() -> None:
    subject = np.array([1, 1, 2, 3, 3])
    group = np.array(["a", "b", "a", "b", "b"])
    test = choose_test(subject, np.zeros(5, bool), group, fraction=0.5, groups=("b",), seed=0)
    assert test.tolist() == [True, True, False, True, True]


def test_what_cannot_be_split_is_told_in_one_line() -> None:
    subject, died = np.arange(10), np.arange(10) < 3
    with pytest.raises(InputError, match="test_groups: set-z not among"):
        choose_test(subject, died, np.full(10, "set-a"), fraction=0.2, groups=("set-z",), seed=0)
    with pytest.raises(
        InputError, match="5 folds need 5 subjects of each outcome: found 3 with the outcome"
    ):
        assign_folds(subject, died, folds=5, seed=0)
    with pytest.raises(InputError, match="test_fraction"):
        choose_test(subject, np.arange(10) < 1, np.full(10, "g"), fraction=0.2, groups=(), seed=0)


@given(st.integers(0, 10_000), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_some_subjects_are_whole_as_many_as_asked_for_and_kept_in_a_larger_share(
    seed: int, a: float, b: float
) -> None:
    subject, _ = cohort(seed, subjects=60)
    small, large = (some_subjects(subject, share, seed=7) for share in sorted((a, b)))
    assert not (small & ~large).any()
    for share, chosen in zip(sorted((a, b)), (small, large), strict=True):
        assert len(set(subject[chosen])) == round(share * 60)
        assert not set(subject[chosen]) & set(subject[~chosen])


def test_some_subjects_depend_on_the_seed_alone() -> None:
    subject, _ = cohort(0)
    order = np.random.default_rng(0).permutation(len(subject))
    chosen = some_subjects(subject, 0.5, seed=1)
    np.testing.assert_array_equal(chosen[order], some_subjects(subject[order], 0.5, seed=1))
    assert (chosen != some_subjects(subject, 0.5, seed=2)).any()
