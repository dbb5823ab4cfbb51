"""Age, sex, ICU type, weight and height as numbers: what is known of a patient on admission.

They are fitted on the training subjects alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int

SEX = {"F": 1.0, "M": 0.0}
UNKNOWN_SEX = 0.5
BODY = ["weight", "height"]  # the static measurements
NUMBERS = ("age", *BODY)


@dataclass(frozen=True)
class Statics:
    """The static inputs of a model, as fitted by `fit_statics`.

    inputs: Which of age, sex, icu_type, weight and height are read, in this order.
    mean, sd: Mean and standard deviation of each of NUMBERS among them, in the training stays: in
        years, kg and cm.
    icu_types: The ICU types of the training stays, sorted.
    """

    inputs: tuple[str, ...] = ()
    mean: dict[str, float] = field(default_factory=dict)
    sd: dict[str, float] = field(default_factory=dict)
    icu_types: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of static inputs, S: one for each ICU type, and one for each other input."""
        return sum(len(self.icu_types) if name == "icu_type" else 1 for name in self.inputs)

    def apply(self, stays: pd.DataFrame) -> Float32[np.ndarray, "N S"]:
        """Turn the columns of stays into numbers.

        Args:
            stays: schemas.COHORT, of which the columns `inputs` are read.

        Returns:
            The standardised age, weight and height, 0 if unknown; 1 for a woman, 0 for a man, 0.5
            if unknown; 1 for the ICU type of the stay and 0 for the others. A type that no
            training stay had is 0 in all of them.
        """
        chosen = [np.empty((len(stays), 0)), *(self._of(stays[name]) for name in self.inputs)]
        return np.concatenate(chosen, axis=1).astype(np.float32)

    def _of(self, column: pd.Series) -> np.ndarray:
        """The numbers of one input, (N, 1) or (N, ICU types)."""
        name = str(column.name)
        if name == "sex":
            return column.astype(object).map(SEX).fillna(UNKNOWN_SEX).to_numpy(np.float64)[:, None]
        if name == "icu_type":
            types = np.array(self.icu_types, object)
            return column.astype(object).to_numpy()[:, None] == types[None]
        standard = (column.astype(np.float64) - self.mean[name]) / self.sd[name]
        return standard.fillna(0).to_numpy()[:, None]

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Statics":
        """Make it from the fields as JSON holds them."""
        return cls(**content | {name: tuple(content[name]) for name in ("inputs", "icu_types")})


NO_STATICS = Statics()


def fit_statics(stays: pd.DataFrame, inputs: Sequence[str]) -> Statics:
    """Fit the static inputs.

    Args:
        stays: schemas.COHORT of the training stays.
        inputs: `static_inputs` of a model in params.yaml.

    Returns:
        The static inputs. The standard deviation is that of the population, or 1 if it is 0.
    """
    known = {name: stays[name].dropna().astype(np.float64) for name in NUMBERS if name in inputs}
    return Statics(
        tuple(inputs),
        {name: float(column.mean()) if len(column) else 0.0 for name, column in known.items()},
        {name: _spread(column) or 1.0 for name, column in known.items()},
        tuple(sorted(stays["icu_type"].dropna().astype(str).unique())),
    )


def _spread(column: pd.Series) -> float:
    return float(column.std(ddof=0)) if len(column) else 0.0


def first_values(
    events: Iterable[pa.RecordBatch], stay_id: Int[np.ndarray, " N"], names: Sequence[str]
) -> pd.DataFrame:
    """The first value of each static measurement of each stay.

    Args:
        events: schemas.EVENTS, sorted by stay_id and hour.
        stay_id: The stays, sorted.
        names: The measurements that are read.

    Returns:
        The columns BODY in the order of the stays; NaN for a stay without a value.
    """
    found = pd.DataFrame(np.nan, range(len(stay_id)), BODY, np.float32)
    wanted = set(BODY) & set(names)
    for batch in events if wanted else ():
        own = pc.cast(batch["measurement"], pa.string())
        for name in wanted:
            rows = batch.filter(pc.equal(own, name))
            stays, first = np.unique(rows["stay_id"].to_numpy(), return_index=True)
            place = np.searchsorted(stay_id, stays)
            new = found[name].to_numpy()[place] != found[name].to_numpy()[place]
            found.loc[place[new], name] = rows["value"].to_numpy()[first[new]]
    return found
