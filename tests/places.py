"""The same raw tables in every place where they may live: plain CSV, Parquet, a DuckDB file, a PostgreSQL server."""

import gzip
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

# The column types that mimic-code's scripts give the tables of MIMIC-III that the reader needs.
MIMIC3 = {
    "patients": "row_id int, subject_id int, gender varchar(5), dob timestamp(0), dod timestamp(0), dod_hosp timestamp(0), dod_ssn timestamp(0), "
    "expire_flag int",
    "admissions": "row_id int, subject_id int, hadm_id int, admittime timestamp(0), dischtime timestamp(0), deathtime timestamp(0), "
    "admission_type varchar(50), admission_location varchar(50), discharge_location varchar(50), insurance varchar(255), language varchar(10), "
    "religion varchar(50), marital_status varchar(50), ethnicity varchar(200), edregtime timestamp(0), edouttime timestamp(0), "
    "diagnosis varchar(300), hospital_expire_flag smallint, has_chartevents_data smallint",
    "icustays": "row_id int, subject_id int, hadm_id int, icustay_id int, dbsource varchar(20), first_careunit varchar(20), "
    "last_careunit varchar(20), first_wardid smallint, last_wardid smallint, intime timestamp(0), outtime timestamp(0), los double precision",
    "chartevents": "row_id int, subject_id int, hadm_id int, icustay_id int, itemid int, charttime timestamp(0), storetime timestamp(0), cgid int, "
    "value varchar(255), valuenum double precision, valueuom varchar(50), warning int, error int, resultstatus varchar(50), stopped varchar(50)",
    "labevents": "row_id int, subject_id int, hadm_id int, itemid int, charttime timestamp(0), value varchar(200), valuenum double precision, "
    "valueuom varchar(20), flag varchar(20)",
}


def every_tenth_value(compressed: Path, tables: dict[str, str], folder: Path) -> Path:
    """The CSV.gz files of the folder `compressed`, with every tenth row of CHARTEVENTS."""
    folder.mkdir()
    for name in (f"{table.upper()}.csv.gz" for table in tables):
        if name == "CHARTEVENTS.csv.gz":
            rows = gzip.decompress((compressed / name).read_bytes()).splitlines(keepends=True)
            content = b"".join([rows[0], *rows[1::10]])
            (folder / name).write_bytes(gzip.compress(content, compresslevel=1))
        else:
            (folder / name).symlink_to(compressed / name)
    return folder


def to_csv(compressed: Path, tables: dict[str, str], folder: Path) -> Path:
    """The CSV.gz files of the folder `compressed`, inflated."""
    folder.mkdir()
    for name in tables:
        (folder / f"{name}.csv").write_bytes(
            gzip.decompress((compressed / f"{name.upper()}.csv.gz").read_bytes())
        )
    return folder


def to_duckdb(csv: Path, tables: dict[str, str], file: Path, schema: str = "main") -> Path:
    """`csv`: a folder of plain CSV files."""
    with duckdb.connect(file) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name, columns in tables.items():
            connection.execute(f"CREATE TABLE {schema}.{name} ({columns})")
            connection.execute(
                f"COPY {schema}.{name} FROM '{csv / name}.csv' (HEADER, DELIMITER ',', QUOTE '\"', ESCAPE '\"')"
            )
    return file


def to_parquet(database: Path, tables: dict[str, str], folder: Path, in_two: bool = False) -> Path:
    """`database`: a DuckDB file. A table is one file, or a folder of two."""
    folder.mkdir()
    with duckdb.connect(database, read_only=True) as connection:
        for name in tables:
            table = connection.sql(f"SELECT * FROM {name}").to_arrow_table()
            if not in_two:
                pq.write_table(table, folder / f"{name.upper()}.parquet")
                continue
            (folder / name).mkdir()
            half = len(table) // 2
            pq.write_table(table[:half], folder / name / "1.parquet")
            pq.write_table(table[half:], folder / name / "2.parquet")
    return folder


def to_postgres(database: Path, tables: dict[str, str], uri: str, schema: str) -> None:
    """`database`: a DuckDB file; `uri`: of libpq. The tables get the types given, and no index."""
    with (
        duckdb.connect(database, read_only=True) as source,
        dbapi.connect(uri) as target,
        target.cursor() as cursor,
    ):
        cursor.execute(f"CREATE SCHEMA {schema}")
        for name, columns in tables.items():
            cursor.adbc_ingest(
                "staging", source.sql(f"SELECT * FROM {name}").to_arrow_reader(), mode="create"
            )
            cursor.execute(f"CREATE TABLE {schema}.{name} ({columns})")
            cursor.execute(f"INSERT INTO {schema}.{name} SELECT * FROM staging")
            cursor.execute("DROP TABLE staging")
        target.commit()


# What MIMIC-IV names or lacks. A row that is marked as an error is not there.
AS_MIMIC4 = {
    "patients": "SELECT *, 50 AS anchor_age, year(dob::TIMESTAMP) + 50 AS anchor_year, 'x' AS anchor_year_group FROM raw",
    "admissions": "FROM raw",
    "icustays": "SELECT * RENAME (icustay_id AS stay_id) FROM raw",
    "chartevents": "SELECT * EXCLUDE error RENAME (icustay_id AS stay_id) FROM raw WHERE error IS DISTINCT FROM '1'",
    "labevents": "FROM raw",
    "outputevents": "SELECT * EXCLUDE iserror RENAME (icustay_id AS stay_id) FROM raw WHERE iserror IS DISTINCT FROM '1'",
}


def as_mimic4(raw: Path, ending: str, folder: Path) -> Path:
    """The tables of MIMIC-III in `raw` as those of MIMIC-IV."""
    with duckdb.connect() as connection:
        for table, select in AS_MIMIC4.items():
            file = f"read_csv('{raw / table.upper()}.{ending}', quote = '\"', all_varchar = true)"
            connection.execute(
                f"COPY (WITH raw AS (FROM {file}) {select}) TO '{folder / table}.parquet'"
            )
    return folder
