"""What recorded values that are left out do to the risk."""

import numpy as np
import pandas as pd

from icu_adversarial.records.recorded import Edits
from icu_adversarial.stress.moves import Moves, Question


def omissions(question: Question) -> Moves:
    """Leave out each recorded value of the stays."""
    events = question.events()
    return Moves(events, np.full(len(events), np.nan, np.float32))


def presence(question: Question) -> pd.DataFrame:
    """Compare the risk with that without any value of one measurement.

    Args:
        question: The model and the stays.

    Returns:
        A row for each stay and measurement with a value: row, measurement, with_values and
        without (log odds).
    """
    records = question.records
    events = question.events()
    keys = records.stay[events] * len(records.names) + records.measurement[events]
    pairs, number = np.unique(keys, return_inverse=True)
    stay, column = np.divmod(pairs, len(records.names))
    missing = np.full(len(events), np.nan, np.float32)
    without = question.after(Edits(stay, number, events, records.hour[events], missing))
    before = question.before()[np.searchsorted(question.rows, stay)]
    names = np.array(records.names)[column]
    return pd.DataFrame(
        {"row": stay, "measurement": names, "with_values": before, "without": without}
    )
