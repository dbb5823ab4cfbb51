"""The outcomes that a network can predict, and what figures and reports call them."""

import re
from collections.abc import Mapping
from typing import NamedTuple

HOSPITAL_DEATH, ICU_DEATH = "hospital_death", "icu_death"
DEATH_WITHIN, LONG_STAY = "death_within_days", "icu_stay_longer_than_days"
PLAIN, WITH_DAYS = (HOSPITAL_DEATH, ICU_DEATH), (DEATH_WITHIN, LONG_STAY)
PHRASES = {
    HOSPITAL_DEATH: "death in the hospital",
    ICU_DEATH: "death in the ICU",
    DEATH_WITHIN: "death within {days} days",
    LONG_STAY: "ICU stay of more than {days} days",
}
# Figures and reports are written about deaths. Their words for long stays:
LONG_STAY_WORDS = {
    "probability of death": "probability of a long stay",
    "patients who died and": "long stays that",
    "survivors who": "short stays that",
    "to die": "to be long",
    "that die": "that are long",
    "to survive": "to be short",
    "death": "long stay",
    "deaths": "long stays",
    "survivor": "short stay",
    "survivors": "short stays",
}


class Outcome(NamedTuple):
    """What a network predicts of a stay.

    Attributes:
        name: One of PLAIN and WITH_DAYS.
        days: The number of days of an outcome of WITH_DAYS, else None.
    """

    name: str
    days: int | None = None

    @property
    def phrase(self) -> str:
        """The outcome in words, for example "death within 30 days"."""
        return PHRASES[self.name].format(days=self.days)

    @property
    def setting(self) -> str | dict[str, int]:
        """The value of `outcome` in params.yaml."""
        return self.name if self.days is None else {self.name: self.days}


def outcome_of(setting: object) -> Outcome:
    """Read the value of `outcome` in params.yaml.

    Args:
        setting: A name of PLAIN, or a mapping of one name of WITH_DAYS to a number of days.

    Raises:
        ValueError: It is neither. The message names what is possible.
    """
    match setting:
        case Outcome():
            return setting
        case str() if setting in PLAIN:
            return Outcome(setting)
        case Mapping() if len(setting) == 1:
            ((name, days),) = setting.items()
            if name in WITH_DAYS and type(days) is int and days > 0:
                return Outcome(name, days)
    found = f", found {setting}" if isinstance(setting, Mapping) else ""  # else pydantic tells it
    raise ValueError(
        f"it must be {', '.join(PLAIN)}, or one of {', '.join(WITH_DAYS)} with a whole number of "
        f"days, as in {{{DEATH_WITHIN}: 30}}{found}"
    )


def worded(text: str, phrase: str) -> str:
    """A text that is written about deaths and survivors, in the words of another outcome.

    Args:
        text: The text.
        phrase: The outcome, `Outcome.phrase`. Only a long stay has words of its own.
    """
    if not phrase.startswith(PHRASES[LONG_STAY].partition("{")[0]):
        return text
    words = "|".join(words.replace(" ", r"\s+") for words in LONG_STAY_WORDS)
    return re.sub(rf"\b({words})\b", lambda m: LONG_STAY_WORDS[" ".join(m[0].split())], text)
