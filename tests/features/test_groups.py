"""The groups of patients."""

import numpy as np
import pandas as pd

from icu_adversarial.features.groups import groups, in_order


def cohort() -> pd.DataFrame:
    ages = np.array([18, 44.9, 45, 64.9, 65, 79.9, 80, 90, np.nan], np.float32)
    units = np.resize(np.array(["CCU", None, "MICU"], object), len(ages))
    return pd.DataFrame({"age": ages, "sex": "F", "icu_type": units, "source_group": "set-a"})


def test_age_bands_are_half_open_and_unknowns_have_a_group() -> None:
    found = groups(cohort())
    assert found["age"].tolist() == ["under 45"] * 2 + ["45 to 64"] * 2 + ["65 to 79"] * 2 + [
        "80 and over"
    ] * 2 + ["unknown"]
    assert found["icu_type"][:3].tolist() == ["CCU", "unknown", "MICU"]


def test_age_bands_are_in_the_order_of_age_and_unknowns_come_last() -> None:
    assert in_order(groups(cohort())["age"]) == [
        *("under 45", "45 to 64", "65 to 79", "80 and over", "unknown")
    ]
