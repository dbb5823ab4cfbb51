"""Which stays are predicted, and how many each rule leaves out."""

import numpy as np
import pandas as pd

from icu_adversarial.params import Preprocess


def select_cohort(stays: pd.DataFrame, observed_cells: np.ndarray, window_hours: int, rules: Preprocess) -> tuple[np.ndarray, pd.DataFrame]:
    """Apply the rules in order; a stay whose times are unknown is not excluded by them.

    stays: the STAYS table; observed_cells: (N,) cells with an event in the window. Returns the kept stays, bool (N,), and the cohort flow:
    one row per step with order, step, stays, subjects, deaths (what is left after it) and excluded (what it took).
    """
    end = window_hours + rules.gap_hours
    in_hospital = stays["discharge_hour"] - stays["admit_hour"].fillna(0)
    rows = [
        ("ICU stays", np.ones(len(stays), bool)),
        (f"in the ICU until hour {end:g}", ~(stays["out_hour"] < end)),
        (f"age ≥ {rules.min_age:g} years", ~(stays["age"] < rules.min_age)),
        (f"in hospital for {rules.min_hospital_hours:g} h", ~(in_hospital < rules.min_hospital_hours)),
        (f"in the ICU for {rules.min_icu_hours:g} h", ~(stays["out_hour"] < rules.min_icu_hours)),
        (f"in hospital at hour {end:g}", ~(stays["discharge_hour"] < end)),
        (f"alive at hour {end:g}", ~(stays["death_hour"] < end)),
        (f"observed cells ≥ {rules.min_observed_cells}", observed_cells >= rules.min_observed_cells),
    ]
    kept = np.ones(len(stays), bool)
    flow = []
    for order, (step, keep) in enumerate(rows):
        excluded = int((kept & ~np.asarray(keep)).sum())
        kept &= np.asarray(keep)
        left = stays[kept]
        flow.append((order, step, len(left), left["subject_id"].nunique(), int(left["died"].sum()), excluded))
    columns = ["order", "step", "stays", "subjects", "deaths", "excluded"]
    return kept, pd.DataFrame(flow, columns=columns)
