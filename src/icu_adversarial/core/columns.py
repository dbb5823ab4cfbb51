"""Find the columns of stored measurements in the grid. The stages probe and analyze use it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from icu_adversarial.core.errors import InputError


def columns_in(names: Sequence[str], stored: pd.Series) -> np.ndarray:
    """Find the column of each stored measurement.

    Args:
        names: The measurements of the grid, in the order of its columns.
        stored: The column `measurement` of schemas.PERTURBATIONS.

    Returns:
        int (len(stored),).

    Raises:
        InputError: A stored measurement is not among `names`.
    """
    found = pd.Index(names).get_indexer(pd.Index(stored))
    if unknown := sorted({str(name) for name in stored[found < 0]}):
        raise InputError(
            f"perturbations.parquet: {', '.join(unknown)}: not among the measurements of the model:"
            " the attack is of another model: run `dvc repro`"
        )
    return found
