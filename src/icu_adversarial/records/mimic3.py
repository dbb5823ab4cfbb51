"""MIMIC-III: a folder of its raw tables (CSV, CSV.gz or Parquet) → stays and events, in one DuckDB query each, through SQLAlchemy."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from icu_adversarial.errors import InputError
from icu_adversarial.measurements import NAMES, Measurement
from icu_adversarial.records.sources import Records
from icu_adversarial.tables import EVENTS, measurement_column

BATCH_ROWS = 1 << 18
# The tables and columns that are read, with MIMIC-III's types.
COLUMNS = {
    "patients": {"subject_id": "BIGINT", "gender": "VARCHAR", "dob": "TIMESTAMP"},
    "admissions": {
        "hadm_id": "BIGINT",
        "admittime": "TIMESTAMP",
        "dischtime": "TIMESTAMP",
        "deathtime": "TIMESTAMP",
        "hospital_expire_flag": "INTEGER",
    },
    "icustays": {
        "subject_id": "BIGINT",
        "hadm_id": "BIGINT",
        "icustay_id": "BIGINT",
        "dbsource": "VARCHAR",
        "first_careunit": "VARCHAR",
        "intime": "TIMESTAMP",
        "outtime": "TIMESTAMP",
    },
    "chartevents": {
        "subject_id": "BIGINT",
        "hadm_id": "BIGINT",
        "icustay_id": "BIGINT",
        "itemid": "INTEGER",
        "charttime": "TIMESTAMP",
        "valuenum": "DOUBLE",
        "error": "INTEGER",
    },
    "labevents": {"subject_id": "BIGINT", "hadm_id": "BIGINT", "itemid": "INTEGER", "charttime": "TIMESTAMP", "valuenum": "DOUBLE"},
}
SUFFIXES = (".parquet", ".csv", ".csv.gz")  # the first found is read

# MIMIC-III stores ages above 89 as about 300 years.
STAYS_QUERY = """
SELECT i.icustay_id AS stay_id, i.subject_id, i.hadm_id, i.dbsource AS source_group,
       CASE WHEN i.years > 89 THEN 90 ELSE i.years END AS age, i.gender AS sex, i.first_careunit AS icu_type,
       EXTRACT(EPOCH FROM (i.admittime - i.intime)) / 3600.0 AS admit_hour,
       EXTRACT(EPOCH FROM (i.dischtime - i.intime)) / 3600.0 AS discharge_hour,
       EXTRACT(EPOCH FROM (i.outtime - i.intime)) / 3600.0 AS out_hour,
       EXTRACT(EPOCH FROM (i.deathtime - i.intime)) / 3600.0 AS death_hour,
       i.hospital_expire_flag = 1 AS died
FROM (
  SELECT s.*, p.gender, a.admittime, a.dischtime, a.deathtime, a.hospital_expire_flag,
         EXTRACT(EPOCH FROM (s.intime - p.dob)) / (365.2425 * 86400.0) AS years
  FROM icustays s JOIN patients p ON p.subject_id = s.subject_id JOIN admissions a ON a.hadm_id = s.hadm_id
) i
ORDER BY stay_id
"""
# An event belongs to every stay of its subject whose window contains its time, unless it names another admission or ICU stay.
# The hour is rounded to float32 before it is compared with the window's end. The order is total: the same bytes on every run.
EVENTS_QUERY = """
SELECT * FROM (
  SELECT s.icustay_id AS stay_id, CAST(EXTRACT(EPOCH FROM (e.charttime - s.intime)) / 3600.0 AS REAL) AS hour, i.measurement, i.code,
         CAST(CASE WHEN i.fahrenheit THEN (e.valuenum - 32) / 1.8 ELSE e.valuenum END AS REAL) AS value
  FROM (
    SELECT 'chartevents' AS source, subject_id, hadm_id, icustay_id, itemid, charttime, valuenum FROM chartevents WHERE error IS DISTINCT FROM 1
    UNION ALL
    SELECT 'labevents', subject_id, hadm_id, NULL, itemid, charttime, valuenum FROM labevents
  ) e
  JOIN (VALUES {items}) i(source, itemid, measurement, code, above, below, below_counts, fahrenheit) ON i.source = e.source AND i.itemid = e.itemid
  JOIN icustays s ON s.subject_id = e.subject_id
  WHERE e.charttime >= s.intime AND e.charttime < s.intime + INTERVAL '{window_hours} hours'
    AND (e.hadm_id IS NULL OR e.hadm_id = s.hadm_id) AND (e.icustay_id IS NULL OR e.icustay_id = s.icustay_id)
    AND e.valuenum > i.above AND (e.valuenum < i.below OR (i.below_counts AND e.valuenum = i.below))
) WHERE hour < {window_hours}
ORDER BY stay_id, hour, measurement, value
"""


def read(raw: Path, window_hours: int, measurements: tuple[Measurement, ...]) -> Records:
    """Read the tables of COLUMNS in the folder `raw`; file names in upper or lower case.

    Raises InputError for a missing folder, table or column, an unreadable file, a value of the wrong type, or ids that are not unique.
    """
    connection = create_engine("duckdb:///:memory:").connect()
    relations = {table: _relation(raw, table) for table in COLUMNS}
    for table, relation in relations.items():
        _check_columns(connection, raw, table, relation)
        typed = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in COLUMNS[table].items())
        connection.exec_driver_sql(f"CREATE VIEW {table} AS SELECT {typed} FROM {relation}")
    try:
        stays = pd.DataFrame(connection.exec_driver_sql(STAYS_QUERY).mappings().all())
    except DBAPIError:
        raise _unreadable(connection, raw, relations, ("patients", "admissions", "icustays")) from None
    if stays.empty:
        raise InputError(f"{raw}: no ICU stay has its patient and its admission in PATIENTS and ADMISSIONS")
    if not stays["stay_id"].is_unique:
        raise InputError(
            f"{raw}: {stays['stay_id'].duplicated().sum()} ICU stays occur more than once: ids in ICUSTAYS, PATIENTS, ADMISSIONS must be unique"
        )
    for column in ("admit_hour", "discharge_hour", "out_hour", "death_hour", "age"):
        stays[column] = stays[column].astype("float32")
    return Records(stays, _events(connection, raw, relations, window_hours, measurements))


def _events(
    connection: Connection, raw: Path, relations: dict[str, str], window_hours: int, measurements: tuple[Measurement, ...]
) -> Iterator[pa.RecordBatch]:
    items = ", ".join(
        f"('{i.table}', {itemid}, '{m.name}', {NAMES.index(m.name)}, {i.above}::DOUBLE, {i.below}::DOUBLE, {i.below_counts}, {i.fahrenheit})"
        for m in measurements
        for i in m.items
        for itemid in i.itemids
    )
    import duckdb  # only the reader of MIMIC-III needs its errors

    try:
        # duckdb's own call: SQLAlchemy would make a Python object of every value
        reader = connection.connection.driver_connection.sql(EVENTS_QUERY.format(items=items, window_hours=window_hours)).to_arrow_reader(BATCH_ROWS)  # type: ignore[union-attr]
        for batch in reader:
            columns = [batch["stay_id"], batch["hour"], measurement_column(batch["code"]), batch["value"]]
            yield pa.RecordBatch.from_arrays(columns, schema=EVENTS)
    except (duckdb.Error, pa.ArrowException):
        raise _unreadable(connection, raw, relations, ("icustays", "chartevents", "labevents")) from None
    finally:
        connection.close()
        connection.engine.dispose()


def _relation(raw: Path, table: str) -> str:
    """The table as DuckDB reads it. Quotes are told, not guessed: DuckDB guesses from the first rows, where none need be."""
    if not raw.is_dir():
        raise InputError(f"extract.raw: {raw} is not a folder: give the one that holds the raw MIMIC-III tables")
    files = {file.name.lower(): file for file in sorted(raw.iterdir())}
    for suffix in SUFFIXES:
        if file := files.get(table + suffix):
            name = str(file).replace("'", "''")
            return (
                f"read_parquet('{name}')"
                if suffix == ".parquet"
                else f"read_csv('{name}', header=true, all_varchar=true, delim=',', quote='\"', escape='\"')"
            )
    raise InputError(f"{raw}: no {table.upper()} ({', '.join(SUFFIXES)}) among its {len(files)} files")


def _check_columns(connection: Connection, raw: Path, table: str, relation: str) -> None:
    try:
        found = {str(row[0]).lower() for row in connection.exec_driver_sql(f"DESCRIBE SELECT * FROM {relation}")}
    except DBAPIError:
        raise InputError(f"{raw}: {table.upper()} cannot be read: it is damaged, or not what its name says") from None
    if missing := [column for column in COLUMNS[table] if column not in found]:
        raise InputError(f"{raw}: {table.upper()} lacks the columns {', '.join(missing)}: found {', '.join(sorted(found))}")


def _unreadable(connection: Connection, raw: Path, relations: dict[str, str], tables: tuple[str, ...]) -> InputError:
    """Which column holds what its type does not allow. DuckDB's own message quotes the row, and rows are patients."""
    connection.rollback()  # the failed query's transaction answers nothing more
    for table in tables:
        columns = COLUMNS[table]
        counts = ", ".join(
            f"count(*) FILTER (WHERE {column} IS NOT NULL AND TRY_CAST({column} AS {kind}) IS NULL)" for column, kind in columns.items()
        )
        try:
            wrong = connection.exec_driver_sql(f"SELECT {counts} FROM {relations[table]}").one()
        except DBAPIError:
            return InputError(f"{raw}: {table.upper()} cannot be read to its end: it is damaged or not the table that its name says")
        for (column, kind), count in zip(columns.items(), wrong, strict=True):
            if count:
                return InputError(f"{raw}: {table.upper()}.{column}: {count} values are no {kind}")
    return InputError(f"{raw}: {', '.join(tables)} cannot be joined: run with --debug")
