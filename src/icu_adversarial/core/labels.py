"""What every figure, table and report calls a source of records."""

LABELS = {
    "synthetic": "synthetic hospital (not real patients)",
    "mimiciii": "MIMIC-III",
    "mimiciv": "MIMIC-IV",
    "eicu": "eICU-CRD",
    "challenge2012": "PhysioNet Challenge 2012",
    "meds": "MEDS",
}
