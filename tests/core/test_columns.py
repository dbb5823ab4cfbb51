"""The columns of stored measurements in the grid."""

import pandas as pd
import pytest

from icu_adversarial.core.columns import columns_in
from icu_adversarial.core.errors import InputError

NAMES = ["ph", "bun", "urine"]


@pytest.mark.parametrize("kind", ["str", "category"])
def test_each_measurement_has_its_column(kind: str) -> None:
    stored = pd.Series(["urine", "ph", "urine"], dtype=kind)
    assert columns_in(NAMES, stored).tolist() == [2, 0, 2]
    assert columns_in(NAMES, stored[:0]).tolist() == []


def test_unknown_measurements_are_named_once_in_one_line() -> None:
    stored = pd.Series(["map", "ph", "gcs", "map"], dtype="category")
    with pytest.raises(InputError) as error:
        columns_in(NAMES, stored)
    assert str(error.value).startswith("perturbations.parquet: gcs, map: not among")
    assert "\n" not in str(error.value)
