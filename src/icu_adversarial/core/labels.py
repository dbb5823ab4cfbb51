"""The name of each source of records in figures, tables and reports."""

from icu_adversarial.core.outcomes import HOSPITAL_DEATH, Outcome

LABELS = {
    "synthetic": "synthetic hospital (not real patients)",
    "mimiciii": "MIMIC-III",
    "mimiciv": "MIMIC-IV",
    "eicu": "eICU-CRD",
    "challenge2012": "PhysioNet Challenge 2012",
    "meds": "MEDS",
}


def label_of(source: str, outcome: Outcome) -> str:
    """Name the source and, unless it is death in the hospital, the outcome.

    Args:
        source: extract.source.
        outcome: What is predicted.
    """
    name = LABELS[source]
    return name if outcome.name == HOSPITAL_DEATH else f"{name}, {outcome.phrase}"
