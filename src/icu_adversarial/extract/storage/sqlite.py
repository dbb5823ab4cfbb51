"""Raw tables in a SQLite file, such as mimic-code builds: mimic3.db and mimic4.db.

DuckDB cannot read it without an extension that it would load from the web, so Python's own module
reads it. One of mimic-code's scripts stores all columns as text, and the other one numbers too.
"""

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.duck import connect, load, reader_of
from icu_adversarial.extract.storage.duck_damage import Source
from icu_adversarial.extract.storage.views import (
    MissingTableError,
    Opened,
    Table,
    column_names,
    literal,
    quoted,
)

MAGIC = b"SQLite format 3\0"
BATCH_ROWS = 1 << 16
# A column as text. 17 digits give the same number back. An empty text is missing, as in CSV.
TEXT = (
    "NULLIF(CASE typeof({0}) WHEN 'real' THEN printf('%!.17g', {0}) ELSE CAST({0} AS TEXT) END, '')"
)


def is_sqlite(file: Path) -> bool:
    """Whether a file is one of SQLite, whatever its name. Its first bytes say so."""
    with suppress(OSError), file.open("rb") as content:
        return content.read(len(MAGIC)) == MAGIC
    return False


@contextmanager
def open_database(raw: Path, tables: Mapping[str, Table]) -> Iterator[Opened]:
    """The tables in the SQLite file `raw`.

    It is read once, here: what is kept of a table goes, typed, to a DuckDB file in the temporary
    folder, and all its rows are counted.
    """
    with (
        tempfile.TemporaryDirectory(prefix="icu-") as folder,
        connect(raw, Path(folder, "tables.duckdb"), folder) as connection,
    ):
        sources = {name: _source(connection, raw, name, table) for name, table in tables.items()}
        load(connection, raw, sources)
        counts = {name: f"SELECT COUNT(*) FROM {quoted(name)}" for name in tables}
        totals = {name: int(_rows(raw, name, sql)[0][0]) for name, sql in counts.items()}
        yield {}, reader_of(connection, raw, sources), totals


def stream(raw: Path, name: str, table: Table) -> pa.RecordBatchReader:
    """The rows of a table, with its columns as text. Rows that are not needed are left out.

    Raises:
        InputError: There is no such table, or it lacks a column.
    """
    columns = [quoted(column) for column in _columns(raw, name, table).values()]
    sql = f"SELECT {', '.join(map(TEXT.format, columns))} FROM {quoted(name)}"
    if table.keep:
        column, values = table.keep
        chosen = ", ".join(str(v) if isinstance(v, int) else literal(v) for v in values)
        kind = "INTEGER" if isinstance(values[0], int) else "TEXT"
        sql += f" WHERE CAST({quoted(column)} AS {kind}) IN ({chosen})"
    schema = pa.schema([(column, pa.string()) for column in table.columns])
    return pa.RecordBatchReader.from_batches(schema, _batches(raw, sql, schema))


def _source(connection: duckdb.DuckDBPyConnection, raw: Path, name: str, table: Table) -> Source:
    def rows() -> str:
        connection.register("sqlite_rows", stream(raw, name, table))
        return "sqlite_rows"

    return Source(table, {column: column for column in _columns(raw, name, table)}, rows)


def _columns(raw: Path, name: str, table: Table) -> dict[str, str]:
    found = [column for _, column, *_ in _rows(raw, name, f"PRAGMA table_info({quoted(name)})")]
    if not found:
        raise MissingTableError(f"{raw}: no table {name.upper()}")
    return column_names(raw, name, table, found)


def _open(raw: Path) -> closing[sqlite3.Connection]:
    """The file, for reading. DuckDB's threads share it, one at a time."""
    place = f"{raw.resolve().as_uri()}?mode=ro"
    return closing(sqlite3.connect(place, uri=True, check_same_thread=False))


def _rows(raw: Path, name: str, sql: str) -> list[tuple]:
    try:
        with _open(raw) as database:
            return database.execute(sql).fetchall()
    except sqlite3.Error:  # its words are left out, because they may quote a row
        raise InputError(f"{raw}: {name.upper()} cannot be read: the file is damaged") from None


def _batches(raw: Path, sql: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with _open(raw) as database:
        cursor = database.execute(sql)
        while rows := cursor.fetchmany(BATCH_ROWS):
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
