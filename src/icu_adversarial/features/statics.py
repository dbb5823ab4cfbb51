"""What is known of a patient on admission, beside the hourly record: age, sex and ICU type as numbers, fitted on training subjects alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

SEX = {"F": 1.0, "M": 0.0}
UNKNOWN_SEX = 0.5


@dataclass(frozen=True)
class Statics:
    """inputs: of age, sex and icu_type, in their order. age_mean, age_sd: years, of the training stays. icu_types: theirs, sorted."""

    inputs: tuple[str, ...] = ()
    age_mean: float = 0.0
    age_sd: float = 1.0
    icu_types: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """S: one number each for age and sex, one for each ICU type."""
        return sum(len(self.icu_types) if name == "icu_type" else 1 for name in self.inputs)

    def apply(self, stays: pd.DataFrame) -> np.ndarray:
        """stays: columns age, sex, icu_type of tables.COHORT. Returns float32 (N, S): the standardised age (0 where unknown); 1 for a woman, 0 for a
        man, 0.5 where unknown; 1 for the stay's ICU type and 0 for the others (all 0 for one that no training stay had)."""
        columns = {
            "age": ((stays["age"].astype(np.float64) - self.age_mean) / self.age_sd)
            .fillna(0)
            .to_numpy()[:, None],
            "sex": stays["sex"]
            .astype(object)
            .map(SEX)
            .fillna(UNKNOWN_SEX)
            .to_numpy(np.float64)[:, None],
            "icu_type": stays["icu_type"].astype(object).to_numpy()[:, None]
            == np.array(self.icu_types, object)[None],
        }
        return np.concatenate(
            [np.empty((len(stays), 0)), *(columns[name] for name in self.inputs)], axis=1
        ).astype(np.float32)

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """From what JSON made of it."""
        return cls(**content | {name: tuple(content[name]) for name in ("inputs", "icu_types")})


NO_STATICS = Statics()


def fit_statics(stays: pd.DataFrame, inputs: Sequence[str]) -> Statics:
    """stays: columns age, sex, icu_type of the training stays. inputs: `static_inputs` of a model in params.yaml."""
    ages = stays["age"].dropna().astype(np.float64)
    spread = float(ages.std(ddof=0)) if len(ages) else 0.0
    return Statics(
        tuple(inputs),
        float(ages.mean()) if len(ages) else 0.0,
        spread or 1.0,
        tuple(sorted(stays["icu_type"].dropna().astype(str).unique())),
    )
