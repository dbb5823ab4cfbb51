import numpy as np
import pandas as pd
import pytest
from feature_tables import NAN, make_stays

from icu_adversarial.features.statics import Statics, fit_statics

TRAINING = make_stays(
    age=[50.0, 70.0, NAN, 60.0], sex=["F", "M", None, "F"], icu_type=["MICU", "CCU", None, "MICU"]
)


def test_numbers_by_hand() -> None:
    """Ages 50, 60, 70: mean 60, standard deviation sqrt(200 / 3)."""
    statics = fit_statics(TRAINING, ("age", "sex", "icu_type"))
    assert statics.icu_types == ("CCU", "MICU")
    assert (statics.age_mean, statics.age_sd) == (60, pytest.approx((200 / 3) ** 0.5))
    found = statics.apply(TRAINING)
    far = 10 / (200 / 3) ** 0.5
    np.testing.assert_allclose(
        found, [[-far, 1, 0, 1], [far, 0, 1, 0], [0, 0.5, 0, 0], [0, 1, 0, 1]], rtol=1e-6
    )
    assert found.dtype == np.float32
    assert statics.size == found.shape[1] == 4


def test_inputs_stand_in_the_order_of_the_parameters() -> None:
    chosen = fit_statics(TRAINING, ("icu_type", "age")).apply(TRAINING)
    every = fit_statics(TRAINING, ("age", "sex", "icu_type")).apply(TRAINING)
    np.testing.assert_array_equal(chosen, every[:, [2, 3, 0]])
    assert fit_statics(TRAINING, ()).apply(TRAINING).shape == (4, 0)


def test_a_stay_of_another_kind_than_those_of_training_is_all_zeros() -> None:
    statics = fit_statics(TRAINING, ("icu_type",))
    assert statics.apply(make_stays(icu_type=["SICU", None, "CCU"])).tolist() == [
        [0, 0],
        [0, 0],
        [1, 0],
    ]


@pytest.mark.parametrize("ages", [[NAN, NAN], [60.0, 60.0]])
def test_ages_without_a_spread_are_zeros(ages: list[float]) -> None:
    stays = make_stays(age=ages, sex=[None, None], icu_type=[None, None])
    statics = fit_statics(stays, ("age", "sex", "icu_type"))
    assert statics.apply(stays).tolist() == [[0, 0.5], [0, 0.5]]


def test_nothing_but_the_training_stays_is_fitted() -> None:
    """The same numbers for a stay, whoever is beside it when they are applied."""
    statics = fit_statics(TRAINING, ("age", "sex", "icu_type"))
    others = make_stays(age=[18.0, 90.0], sex=["M", "F"], icu_type=["SICU", "CCU"])
    together = statics.apply(pd.concat([TRAINING, others]))
    np.testing.assert_array_equal(together[:4], statics.apply(TRAINING))
    assert statics == fit_statics(TRAINING[::-1], ("age", "sex", "icu_type"))


def test_of_json_is_what_it_was() -> None:
    statics = fit_statics(TRAINING, ("age", "icu_type"))
    content = {
        "inputs": ["age", "icu_type"],
        "age_mean": statics.age_mean,
        "age_sd": statics.age_sd,
        "icu_types": ["CCU", "MICU"],
    }
    assert Statics.of(content) == statics
