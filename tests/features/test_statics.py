from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from feature_tables import NAN, event_batches, make_stays
from hypothesis import given
from hypothesis import strategies as st

from icu_adversarial.features.statics import BODY, Statics, first_values, fit_statics
from icu_adversarial.measurements import SETS

EXTENDED = SETS["extended"]

TRAINING = make_stays(
    age=[50.0, 70.0, NAN, 60.0], sex=["F", "M", None, "F"], icu_type=["MICU", "CCU", None, "MICU"]
)


def test_numbers_by_hand() -> None:
    """Ages 50, 60, 70: mean 60, standard deviation sqrt(200 / 3)."""
    statics = fit_statics(TRAINING, ("age", "sex", "icu_type"))
    assert statics.icu_types == ("CCU", "MICU")
    assert statics.mean == {"age": 60}
    assert statics.sd == {"age": pytest.approx((200 / 3) ** 0.5)}
    found = statics.apply(TRAINING)
    far = 10 / (200 / 3) ** 0.5
    np.testing.assert_allclose(
        found, [[-far, 1, 0, 1], [far, 0, 1, 0], [0, 0.5, 0, 0], [0, 1, 0, 1]], rtol=1e-6
    )
    assert found.dtype == np.float32
    assert statics.size == found.shape[1] == 4


def test_weight_and_height_are_standardised_as_the_age_is() -> None:
    """Weights 60 and 100 kg: mean 80, standard deviation 20. Heights 150, 180 and 210 cm."""
    stays = make_stays(weight=[60.0, NAN, 100.0], height=[150.0, 180.0, 210.0])
    statics = fit_statics(stays, ("height", "sex", "weight"))
    assert statics.mean == {"weight": 80, "height": 180}
    assert statics.sd == {"weight": 20, "height": pytest.approx(600**0.5)}
    far = 30 / 600**0.5
    np.testing.assert_allclose(
        statics.apply(stays), [[-far, 1, -1], [0, 1, 0], [far, 1, 1]], rtol=1e-6
    )


def test_a_height_that_no_training_stay_has_is_zero() -> None:
    statics = fit_statics(make_stays(height=[NAN, NAN]), ("height",))
    assert statics.apply(make_stays(height=[NAN, 3.0])).tolist() == [[0], [3]]


events = st.tuples(
    st.integers(0, 3),
    st.integers(0, 20),
    st.sampled_from(["weight", "height", "ph"]),
    st.integers(1, 100),
)


@given(
    st.lists(events, max_size=25, unique_by=lambda e: e[:3]),
    st.lists(st.integers(0, 25), max_size=4),
    st.sampled_from([("weight",), ("ph", "height"), ("height", "ph", "weight"), ("ph",)]),
)
def test_the_first_value_of_a_stay_is_that_of_pandas_however_the_events_are_cut(
    rows: list[tuple[int, int, str, int]], cuts: list[int], names: tuple[str, ...]
) -> None:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [
        b[i:j] for b in event_batches(*rows, names=EXTENDED) for i, j in pairwise(edges) if i < j
    ]
    found = first_values(parts, np.arange(4), names)
    frame = pd.DataFrame(rows, columns=["stay", "hour", "name", "value"]).sort_values("hour")
    first = frame[frame["name"].isin(names)].groupby(["stay", "name"])["value"].first().unstack()
    expected = first.reindex(index=range(4), columns=BODY).to_numpy(np.float32)
    np.testing.assert_array_equal(found.to_numpy(), expected)
    assert found.columns.tolist() == BODY


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
        "mean": {"age": 60.0},
        "sd": {"age": statics.sd["age"]},
        "icu_types": ["CCU", "MICU"],
    }
    assert Statics.of(content) == statics
