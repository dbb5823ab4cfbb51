"""Which stays are predicted, and how many each rule leaves out."""

import numpy as np
import pandas as pd

from icu_adversarial.params import Preprocess

FEWEST_STAYS, LARGEST_PREVALENCE, FEWEST_DEATHS = 500, 0.3, 20


def cohort_warning(stays: int, deaths: int, test_deaths: int | None = None) -> str | None:
    """Why nothing can be concluded from a cohort; every table with its numbers shows it.

    Args:
        stays: Number of stays.
        deaths: Number of deaths among them.
        test_deaths: Number of deaths in the test set; None where no test set is scored.

    Returns:
        One sentence if there are fewer than FEWEST_STAYS stays, more than LARGEST_PREVALENCE
        deaths, or fewer than FEWEST_DEATHS deaths in all or in the test set; otherwise None.
    """
    fewest = deaths if test_deaths is None else min(deaths, test_deaths)
    if stays >= FEWEST_STAYS and deaths <= LARGEST_PREVALENCE * stays and fewest >= FEWEST_DEATHS:
        return None
    on_test = "" if test_deaths is None else f", {test_deaths} of them in the test set"
    return (
        f"The cohort has {stays} stays and {deaths} deaths{on_test}: too few stays or deaths, or "
        "too large a share of deaths, to conclude anything about patients (expected at least "
        f"{FEWEST_STAYS} stays, at most {LARGEST_PREVALENCE:.0%} deaths, and at least "
        f"{FEWEST_DEATHS} deaths in all and in the test set); the numbers only show that the "
        "pipeline runs"
    )


def cohort_rules(
    stays: pd.DataFrame, window_hours: int, options: Preprocess
) -> dict[str, np.ndarray]:
    """The stays that each rule keeps, bool (N,), by its name in the cohort flow and in its order. Unknown times and ages exclude no stay.

    stays: tables.STAYS. The first ICU stay of a subject or an admission is the first that there is, not the first that the other rules keep: no later
    stay takes its place. A stay whose admission is unknown is the first of its own.
    """
    end = window_hours + options.gap_hours
    order, in_hospital = (
        stays["subject_order"],
        stays["discharge_hour"] - stays["admit_hour"].fillna(0),
    )
    first_of_admission = order.groupby(stays["hadm_id"]).transform("min")
    chosen = {
        "all": {},
        "first_of_admission": {"first ICU stay of the admission": ~(order > first_of_admission)},
        "first_of_subject": {"first ICU stay of the subject": order == 1},
    }
    rules = {
        **chosen[options.stays],
        "outcome known": stays["died"].notna(),
        f"age ≥ {options.min_age:g} years": ~(stays["age"] < options.min_age),
        f"in hospital for {options.min_hospital_hours:g} h": ~(
            in_hospital < options.min_hospital_hours
        ),
        f"in the ICU for {options.min_icu_hours:g} h": ~(stays["out_hour"] < options.min_icu_hours),
        f"alive at hour {end:g}": ~(stays["death_hour"] < end),
        f"in hospital at hour {end:g}": ~(stays["discharge_hour"] < end),
        f"in the ICU at hour {end:g}": ~(stays["out_hour"] < end),
    }
    return {step: keep.to_numpy(bool) for step, keep in rules.items()}


def cohort_flow(stays: pd.DataFrame, rules: dict[str, np.ndarray]) -> pd.DataFrame:
    """One row per step, the first for all ICU stays: order, step, stays, subjects, deaths (what is left after it) and excluded (what it took)."""
    kept = np.ones(len(stays), bool)
    flow = []
    for order, (step, keep) in enumerate({"all ICU stays": kept, **rules}.items()):
        excluded = int((kept & ~keep).sum())
        kept = kept & keep
        left = stays[kept]
        flow.append(
            (
                order,
                step,
                len(left),
                left["subject_id"].nunique(),
                int(left["died"].eq(True).sum()),
                excluded,
            )
        )
    return pd.DataFrame(flow, columns=["order", "step", "stays", "subjects", "deaths", "excluded"])
