"""The groups of patients whose results are shown separately. Scores and attacks use the same."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

AGE_BANDS = {  # years, low <= age < high
    "under 45": (0, 45),
    "45 to 64": (45, 65),
    "65 to 79": (65, 80),
    "80 and over": (80, np.inf),
}
ORDER = {name: place for place, name in enumerate(AGE_BANDS)}


def groups(cohort: pd.DataFrame) -> dict[str, pd.Series]:
    """Find the groups of each stay.

    Args:
        cohort: Rows of schemas.COHORT.

    Returns:
        The group of each stay by division: age, sex, icu_type and source_group; "unknown" if the
        record does not have it.
    """
    age = pd.Series("unknown", cohort.index)
    for name, (low, high) in AGE_BANDS.items():
        age[(cohort["age"] >= low) & (cohort["age"] < high)] = name
    return {"age": age} | {
        name: cohort[name].fillna("unknown").astype(str)
        for name in ("sex", "icu_type", "source_group")
    }


def in_order(names: Iterable[str]) -> list[str]:
    """Sort the names of groups: age bands by age, and others by name."""
    return sorted(set(names), key=lambda name: (ORDER.get(name, len(ORDER)), name))
