"""Hand-made raw tables with the stays and events that a reader must make of them: tests/data/NAME. The column `why` of a raw table says what
each row is there for; no reader reads it."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from literature_set import ITEMS

from icu_adversarial.core.schemas import EVENTS, STAYS, to_table
from icu_adversarial.extract.records import Records

DATA = Path(__file__).parent / "data"
CODE_MAP = Path(__file__).parents[1] / "code_maps" / "mimiciv_meds.csv"


def collect(records: Records) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stays and events, both checked against their schema."""
    return (
        to_table(records.stays, STAYS).to_pandas(),
        pa.Table.from_batches(records.events, EVENTS).to_pandas(),
    )


def assert_golden(
    name: str, found: tuple[pd.DataFrame, pd.DataFrame], stays: str = "stays"
) -> None:
    """`found` is what expected_STAYS.csv and expected_events.csv of tests/data/NAME say.

    In their order; ages to a thousandth of a year.
    """
    texts = dict.fromkeys(("source_group", "sex", "icu_type", "measurement"), str) | {
        "died": "boolean",
        "icu_died": "boolean",
        "hadm_id": "Int64",
    }
    for table, frame in zip((stays, "events"), found, strict=True):
        expected = pd.read_csv(DATA / name / f"expected_{table}.csv", dtype=texts)
        for column in frame:
            ours, theirs = frame[column], expected[column]
            if theirs.dtype == "float64":
                np.testing.assert_allclose(
                    ours,
                    theirs,
                    rtol=2e-6,
                    atol=1e-3 if column == "age" else 1e-5,
                    err_msg=f"{name} {column}",
                )
            else:
                assert [None if pd.isna(v) else v for v in ours] == [
                    None if pd.isna(v) else v for v in theirs
                ], f"{name} {column}"


def write_meds(folder: Path, splits: bool = True, name: str = "meds", **changes: str) -> Path:
    """tests/data/NAME as a MEDS data set: a Parquet file per shard, and the splits.

    changes: SQL expressions for columns of the events.
    """
    columns = {
        "subject_id": "subject_id::BIGINT",
        "time": "time::TIMESTAMP",
        "code": "code",
        "numeric_value": "numeric_value::FLOAT",
    } | changes
    chosen = ", ".join(
        f'{expression} AS "{column}"' for column, expression in columns.items() if expression
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE raw AS FROM read_csv('{DATA / name / 'events.csv'}', all_varchar = true, delim = ',', quote = '\"')"
        )
        for (shard,) in connection.execute("SELECT DISTINCT shard FROM raw").fetchall():
            file = folder / "data" / f"{shard}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(
                f"COPY (SELECT {chosen} FROM raw WHERE shard = '{shard}') TO '{file}'"
            )
    if splits:
        (folder / "metadata").mkdir(exist_ok=True)
        pd.read_csv(DATA / "meds" / "subject_splits.csv").to_parquet(
            folder / "metadata" / "subject_splits.parquet"
        )
    return folder


def write_demo(mimic_demo: Path, folder: Path) -> None:
    """The tables of MIMIC-III that the readers need as a MEDS data set with the codes of MIMIC-IV; CareVue's items take those of MetaVision."""
    tables = {
        name: f"read_csv('{mimic_demo / name}.csv.gz', quote = '\"', all_varchar = true)"
        for name in ("PATIENTS", "ADMISSIONS", "ICUSTAYS", "CHARTEVENTS", "LABEVENTS")
    }
    same_as = {item: max(map(int, rows.codes)) for item, (_, rows) in ITEMS.items()}
    items = ", ".join(f"({item}, {code})" for item, code in same_as.items())
    (folder / "data").mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"""
            COPY (SELECT subject_id::BIGINT AS subject_id, time::TIMESTAMP AS time, code, numeric_value::FLOAT AS numeric_value FROM (
              SELECT subject_id, NULL AS time, 'GENDER//' || gender AS code, NULL AS numeric_value FROM {tables["PATIENTS"]}
              UNION ALL SELECT subject_id, dob, 'MEDS_BIRTH', NULL FROM {tables["PATIENTS"]}
              UNION ALL SELECT subject_id, deathtime, 'MEDS_DEATH', NULL FROM {tables["ADMISSIONS"]} WHERE deathtime IS NOT NULL
              UNION ALL SELECT subject_id, dod, 'MEDS_DEATH', NULL FROM {tables["PATIENTS"]} WHERE dod IS NOT NULL
                        AND subject_id NOT IN (SELECT subject_id FROM {tables["ADMISSIONS"]} WHERE deathtime IS NOT NULL)
              UNION ALL SELECT subject_id, admittime, 'HOSPITAL_ADMISSION//X', NULL FROM {tables["ADMISSIONS"]}
              UNION ALL SELECT subject_id, dischtime, 'HOSPITAL_DISCHARGE//' || if(hospital_expire_flag = '1', 'DIED', 'HOME'), NULL
                        FROM {tables["ADMISSIONS"]}
              UNION ALL SELECT subject_id, intime, 'ICU_ADMISSION//' || first_careunit, NULL FROM {tables["ICUSTAYS"]}
              UNION ALL SELECT subject_id, outtime, 'ICU_DISCHARGE//' || last_careunit, NULL FROM {tables["ICUSTAYS"]}
              UNION ALL SELECT subject_id, charttime, 'LAB//' || code || '//X', valuenum
                        FROM {tables["CHARTEVENTS"]} JOIN (VALUES {items}) i(item, code) ON item = itemid::INT WHERE error IS DISTINCT FROM '1'
              UNION ALL SELECT subject_id, charttime, 'LAB//RESULT//' || itemid || '//X', valuenum FROM {tables["LABEVENTS"]}
            )) TO '{folder / "data" / "0.parquet"}' (FORMAT parquet)
        """)
