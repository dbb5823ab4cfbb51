"""The name of each source of records in figures, tables and reports."""

LABELS = {
    "synthetic": "synthetic hospital (not real patients)",
    "mimiciii": "MIMIC-III",
    "mimiciv": "MIMIC-IV",
    "eicu": "eICU-CRD",
    "challenge2012": "PhysioNet Challenge 2012",
    "meds": "MEDS",
}
