"""Age, sex and ICU type as numbers: what is known of a patient on admission.

They are fitted on the training subjects alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

SEX = {"F": 1.0, "M": 0.0}
UNKNOWN_SEX = 0.5


@dataclass(frozen=True)
class Statics:
    """The static inputs of a model, as fitted by `fit_statics`.

    inputs: Which of age, sex and icu_type are read, in this order.
    age_mean, age_sd: Mean and standard deviation of the age of the training stays, in years.
    icu_types: The ICU types of the training stays, sorted.
    """

    inputs: tuple[str, ...] = ()
    age_mean: float = 0.0
    age_sd: float = 1.0
    icu_types: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of static inputs, S: one each for age and sex, one for each ICU type."""
        return sum(len(self.icu_types) if name == "icu_type" else 1 for name in self.inputs)

    def apply(self, stays: pd.DataFrame) -> Float32[np.ndarray, "N S"]:
        """Turn the columns of stays into numbers.

        Args:
            stays: The columns age, sex and icu_type of schemas.COHORT.

        Returns:
            The standardised age, 0 if unknown; 1 for a woman, 0 for a man, 0.5 if unknown; 1 for
            the ICU type of the stay and 0 for the others. A type that no training stay had is 0
            in all of them.
        """
        age = (stays["age"].astype(np.float64) - self.age_mean) / self.age_sd
        sex = stays["sex"].astype(object).map(SEX).fillna(UNKNOWN_SEX)
        icu_type = stays["icu_type"].astype(object).to_numpy()
        columns = {
            "age": age.fillna(0).to_numpy()[:, None],
            "sex": sex.to_numpy(np.float64)[:, None],
            "icu_type": icu_type[:, None] == np.array(self.icu_types, object)[None],
        }
        chosen = [np.empty((len(stays), 0)), *(columns[name] for name in self.inputs)]
        return np.concatenate(chosen, axis=1).astype(np.float32)

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Statics":
        """Make it from the fields as JSON holds them."""
        return cls(**content | {name: tuple(content[name]) for name in ("inputs", "icu_types")})


NO_STATICS = Statics()


def fit_statics(stays: pd.DataFrame, inputs: Sequence[str]) -> Statics:
    """Fit the static inputs.

    Args:
        stays: The columns age, sex and icu_type of the training stays.
        inputs: `static_inputs` of a model in params.yaml.

    Returns:
        The static inputs. The standard deviation is that of the population, or 1 if it is 0.
    """
    ages = stays["age"].dropna().astype(np.float64)
    spread = float(ages.std(ddof=0)) if len(ages) else 0.0
    return Statics(
        tuple(inputs),
        float(ages.mean()) if len(ages) else 0.0,
        spread or 1.0,
        tuple(sorted(stays["icu_type"].dropna().astype(str).unique())),
    )
