"""The synthetic hospital: invented patients in the raw tables of MIMIC-III v1.4.

It serves runs and tests that must not need real patients. Every file has `origin: synthetic` in its
metadata, and every diagnosis of an admission begins with SYNTHETIC. The stage synthesize calls
`generate`.

What is modelled, by module:

- admitting: subjects with one or more admissions and ICU stays, their ages, when they move, and who
  dies. Four of five stays meet the usual criteria, and about 11 % of those end in death.
- physiology: how ill a patient is. Illness has four parts (circulatory, renal, respiratory,
  metabolic). Each part has a level at the ICU admission and one change during the stay. Five kinds
  of patients differ in these levels. Illness shifts 20 variables, which also fluctuate in time and
  depend on each other. The odds of death follow the parts, their changes, the failure of two parts
  together, the age, and a part that no variable shows.
- variables: the 20 variables with their centres, spreads, limits and correlations.
- charting and laboratory: what is written down, with irregular times, gaps, mistakes, text instead
  of numbers, and two charting systems (CareVue and MetaVision).
- items: the item ids of MIMIC-III for all of this, with their labels and units.
- tables: the columns of the seven tables.

Sources: names, types and meaning of the columns are those of the documentation of MIMIC-III
(https://mimic.mit.edu/docs/iii/tables/), item ids and labels those of its tables D_ITEMS and
D_LABITEMS. Centres and spreads of the variables are rounded textbook values. No number was fitted
to patients or taken from an article. tests/synthetic checks that the medians are in the range of
the open MIMIC-III demo, and that simple models predict death about as well as in real data.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from icu_adversarial.synthetic.admitting import DAY, admit
from icu_adversarial.synthetic.charting import Chunk, chart
from icu_adversarial.synthetic.laboratory import laboratory
from icu_adversarial.synthetic.physiology import correlated, illness, trajectories
from icu_adversarial.synthetic.tables import (
    SCHEMAS,
    admissions,
    d_items,
    d_labitems,
    hadm_id,
    icustay_id,
    icustays,
    patients,
    subject_id,
    table,
)

CHUNK = 500  # stays per row group of events: limits the memory, however many stays there are


def generate(folder: Path, stays: int, seed: int) -> None:
    """Write the seven tables of a hospital as TABLE.parquet.

    Charts and laboratory values cover the hours from 24 before to 72 after the ICU admission, as
    long as the patient is there.

    Args:
        folder: The tables are written here. It is made if it is missing.
        stays: Number of ICU stays, at least 1.
        seed: The same number of stays and the same seed give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 0])
    hospital = admit(stays, rng)
    subjects = int(hospital.subject[-1]) + 1
    dbsource = (rng.random(subjects) < 0.55).astype(np.int64)[hospital.subject]
    baseline = correlated(rng, subjects)
    for name, columns in (
        ("PATIENTS", patients(hospital, rng)),
        ("ADMISSIONS", admissions(hospital, rng)),
        ("ICUSTAYS", icustays(hospital, dbsource, rng)),
        ("D_ITEMS", d_items()),
        ("D_LABITEMS", d_labitems()),
    ):
        pq.write_table(table(name, columns, 1), folder / f"{name}.parquet", compression="zstd")
    free = np.where(hospital.first, np.int64(0), np.roll(hospital.outtime, 1))
    free = np.maximum(free, hospital.intime - DAY)
    with (
        pq.ParquetWriter(
            folder / "CHARTEVENTS.parquet", SCHEMAS["CHARTEVENTS"], compression="zstd"
        ) as charts,
        pq.ParquetWriter(
            folder / "LABEVENTS.parquet", SCHEMAS["LABEVENTS"], compression="zstd"
        ) as results,
    ):
        written = {"CHARTEVENTS": 1, "LABEVENTS": 1}
        for number, start in enumerate(range(0, stays, CHUNK)):
            part = slice(start, start + CHUNK)
            chunk = Chunk(
                subject_id(hospital.subject[part]),
                hadm_id(hospital.admission[part]),
                icustay_id(np.arange(stays)[part]),
                dbsource[part],
                hospital.admit[part],
                hospital.intime[part],
                hospital.outtime[part],
                free[part],
                baseline[hospital.subject[part]],
                hospital.course.take(part),
            )
            both = events(chunk, np.random.default_rng([seed, 1 + number]))
            for writer, name, columns in zip((charts, results), written, both, strict=True):
                rows = table(name, columns, written[name])
                writer.write_table(rows)
                written[name] += len(rows)


def events(chunk: Chunk, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of CHARTEVENTS and those of LABEVENTS for some stays, without row_id."""
    ill = illness(chunk.course)
    state = trajectories(ill, chunk.baseline, rng)
    sickness = ill.mean(axis=2) / 0.7  # about 1 on average
    return chart(chunk, state, sickness, rng), laboratory(chunk, state, sickness, rng)
