"""What is predicted of each stay, for the stage preprocess."""

import pandas as pd

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.labels import LABELS
from icu_adversarial.core.outcomes import DEATH_WITHIN, HOSPITAL_DEATH, LONG_STAY, Outcome

# A smaller share of the survivors that is followed for N days would not stand for the others: those
# are followed who come back or stay for long.
FEWEST_FOLLOWED = 0.5


def labels(stays: pd.DataFrame, outcome: Outcome, source: str) -> pd.Series:
    """Say for each stay whether the outcome occurred.

    Args:
        stays: schemas.STAYS.
        outcome: What is predicted.
        source: extract.source, for the message.

    Returns:
        boolean (stays), null for a stay that cannot be labelled. A death within N days is one until
        the end of day N, where day 0 is that of ICU admission. It is null for a patient without a
        recorded death who is not followed for N days. A stay of at most N days is null unless the
        patient is known to have left the ICU alive.

    Raises:
        InputError: The source does not know the outcome: no stay can be labelled, or most survivors
            are not followed for N days.
    """
    known, days = True, outcome.days or 0
    if outcome.name == DEATH_WITHIN:
        day, followed = (stays[name].astype("float64") for name in ("death_day", "followed_days"))
        died, lives = day <= days, (day > days) | (followed >= days)
        found = died.astype("boolean").where(died | lives)
        survivors = stays["died"].eq(False).fillna(False).astype(bool) & day.isna()
        known = not survivors.any() or lives[survivors].mean() > FEWEST_FOLLOWED
    elif outcome.name == LONG_STAY:
        longer = stays["out_hour"] > 24 * days
        left_alive = stays["out_hour"].notna() & stays["icu_died"].eq(False).fillna(False)
        found = longer.astype("boolean").where(longer | left_alive)
    else:
        column = "died" if outcome.name == HOSPITAL_DEATH else "icu_died"
        found = stays[column].astype("boolean")
    if not known or found.isna().all():
        raise InputError(
            f"outcome: {outcome.phrase}: {LABELS[source]} does not know it for most stays: "
            "docs/data-sources.md says which outcomes each source knows"
        )
    return found
