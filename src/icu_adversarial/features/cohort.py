"""Which stays are predicted, and how many stays each rule excludes, for the stage preprocess."""

import numpy as np
import pandas as pd
from jaxtyping import Bool

from icu_adversarial.config.preprocess import Preprocess
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.outcomes import HOSPITAL_DEATH, Outcome

FEWEST_STAYS, LARGEST_PREVALENCE, FEWEST_DEATHS = 500, 0.3, 20


def cohort_warning(stays: int, deaths: int, test_deaths: int | None = None) -> str | None:
    """Say why nothing can be concluded from a cohort. Every table with its numbers shows it.

    Args:
        stays: Number of stays.
        deaths: Number of them with the outcome.
        test_deaths: Number of these in the test set; None where no test set is scored.

    Returns:
        One sentence if there are fewer than FEWEST_STAYS stays, more than LARGEST_PREVALENCE with
        the outcome, or fewer than FEWEST_DEATHS with it in all or in the test set; otherwise None.
    """
    fewest = deaths if test_deaths is None else min(deaths, test_deaths)
    if stays >= FEWEST_STAYS and deaths <= LARGEST_PREVALENCE * stays and fewest >= FEWEST_DEATHS:
        return None
    on_test = "" if test_deaths is None else f", {test_deaths} of these in the test set"
    return (
        f"The cohort has {stays} stays, {deaths} with the outcome{on_test}: too few, or too large "
        "a share with the outcome, to conclude anything about patients (expected at least "
        f"{FEWEST_STAYS} stays, at most {LARGEST_PREVALENCE:.0%} with the outcome, and at least "
        f"{FEWEST_DEATHS} with it in all and in the test set); the numbers only show that the "
        "pipeline runs"
    )


def cohort_rules(
    stays: pd.DataFrame, window_hours: int, options: Preprocess, outcome: Outcome
) -> dict[str, Bool[np.ndarray, " N"]]:
    """Find the stays that each rule keeps.

    An unknown time or age excludes no stay. If no stay has such a value, the name of the rule says
    "not recorded". The first ICU stay of a subject or an admission is the first in the records; if
    another rule excludes it, no later stay replaces it. A stay whose admission is unknown counts
    as the first one. The first rule excludes a stay that begins after the recorded death of its
    subject, because such a record contradicts itself.

    Args:
        stays: schemas.STAYS. Their column died is the result of `labels`.
        window_hours: Length of the observation window.
        options: The block `preprocess` of params.yaml.
        outcome: What is predicted.

    Returns:
        The stays that a rule keeps, by its name, in the order of the cohort flow.

    Raises:
        InputError: The option is `first_of_admission`, but no stay has an admission.
    """
    if options.stays == "first_of_admission" and stays["hadm_id"].isna().all():
        raise InputError(
            "preprocess.stays: first_of_admission: these data number no hospital admissions:"
            " use all or first_of_subject"
        )
    end = window_hours + options.gap_hours
    order = stays["subject_order"]
    in_hospital = stays["discharge_hour"] - stays["admit_hour"].fillna(0)
    first_of_admission = order.groupby(stays["hadm_id"]).transform("min")
    chosen = {
        "all": {},
        "first_of_admission": {"first ICU stay of the admission": ~(order > first_of_admission)},
        "first_of_subject": {"first ICU stay of the subject": order == 1},
    }

    def at_least(rule: str, values: pd.Series, least: float) -> dict[str, pd.Series]:
        """The rule by its name, which says whether any stay has the value."""
        return {f"{rule} (not recorded)" if values.isna().all() else rule: ~(values < least)}

    hospital, icu = options.min_hospital_hours, options.min_icu_hours
    known = "outcome known" + (f": {outcome.phrase}" if outcome != Outcome(HOSPITAL_DEATH) else "")
    rules = {
        "alive at ICU admission": ~(stays["death_hour"] < 0),
        **chosen[options.stays],
        known: stays["died"].notna(),
        **at_least(f"age ≥ {options.min_age:g} years", stays["age"], options.min_age),
        **at_least(f"in hospital for {hospital:g} h", in_hospital, hospital),
        **at_least(f"in the ICU for {icu:g} h", stays["out_hour"], icu),
        f"alive at hour {end:g}": ~(stays["death_hour"] < end),
        **at_least(f"in hospital at hour {end:g}", stays["discharge_hour"], end),
        **at_least(f"in the ICU at hour {end:g}", stays["out_hour"], end),
    }
    return {step: keep.to_numpy(bool) for step, keep in rules.items()}


def cohort_flow(
    stays: pd.DataFrame, rules: dict[str, Bool[np.ndarray, " N"]], left_out: dict[str, int]
) -> pd.DataFrame:
    """Count the stays that each step excludes.

    Args:
        stays: schemas.STAYS. Their column died is the result of `labels`.
        rules: The stays that each rule keeps, as from `cohort_rules`.
        left_out: Number of stays that the stage extract has excluded, by reason. The first row
            includes them.

    Returns:
        One row for each step: all ICU stays, the reasons of `left_out`, the rules. The columns are
        order, step, stays, subjects and deaths (what remains after the step) and excluded. The
        subjects and deaths of the first rows are those of `stays`, because the stays that extract
        excludes have no patient or outcome that could be counted.
    """
    kept = np.ones(len(stays), bool)
    waiting = sum(left_out.values())  # stays whose row is still to come
    steps = {"all ICU stays": (0, kept)}
    steps |= {reason: (count, kept) for reason, count in left_out.items()}
    steps |= {step: (0, keep) for step, keep in rules.items()}
    flow = []
    for order, (step, (count, keep)) in enumerate(steps.items()):
        waiting -= count
        excluded = count + int((kept & ~keep).sum())
        kept = kept & keep
        left = stays[kept]
        deaths = int(left["died"].eq(True).sum())
        subjects = left["subject_id"].nunique()
        flow.append((order, step, len(left) + waiting, subjects, deaths, excluded))
    return pd.DataFrame(flow, columns=["order", "step", "stays", "subjects", "deaths", "excluded"])
