"""Raw tables in files, read by DuckDB: a folder of CSV, CSV.gz and Parquet, or a DuckDB file."""

import glob
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.duck_casts import cast_sql
from icu_adversarial.extract.storage.duck_damage import Source, explained
from icu_adversarial.extract.storage.raw_files import (
    counted,
    find_file,
    header,
    is_csv,
    parquet_parts,
    readable,
    stream,
)
from icu_adversarial.extract.storage.views import (
    Opened,
    Reader,
    Table,
    column_names,
    kept,
    literal,
    locate,
    quoted,
    typed,
)

MEMORY = "1GB"  # for sorting; what does not fit goes to the temporary folder
THREADS = 8  # at most: they share MEMORY
BATCH_ROWS = 1 << 18


@contextmanager
def open_folder(raw: Path, tables: Mapping[str, Table]) -> Iterator[Opened]:
    """The tables in the folder `raw`.

    Parquet is read where it lies. CSV is read once, here: what is kept of it goes, typed, to a
    DuckDB file in the temporary folder, and all its rows are counted.
    """
    if not raw.is_dir():
        raise InputError(
            f"{raw} is not a folder with the raw tables, a DuckDB file (.duckdb, .db),"
            " a SQLite file or a .url file"
        )
    files = {name: find_file(raw, name) for name in tables}
    with (
        tempfile.TemporaryDirectory(prefix="icu-") as folder,
        connect(raw, Path(folder, "tables.duckdb"), folder) as connection,
    ):
        totals: dict[str, int] = {}
        sources = {
            name: _source(connection, raw, name, tables[name], file, totals)
            for name, file in files.items()
        }
        load(connection, raw, {name: sources[name] for name in files if is_csv(files[name])})
        views = {
            name: typed(table, relation(), names, cast_sql)
            for name, (table, names, relation) in sources.items()
            if not is_csv(files[name])
        }
        yield views, reader_of(connection, raw, sources), totals


def load(connection: duckdb.DuckDBPyConnection, raw: Path, sources: Mapping[str, Source]) -> None:
    """Make a typed table of what each table keeps of its source."""
    for name, (table, names, relation) in sources.items():
        with explained(connection, raw, {name: sources[name]}):
            connection.execute(
                f"CREATE TABLE {name} AS {typed(table, relation(), names, cast_sql)}"
                f"{kept(table, names)}"
            )


@contextmanager
def open_database(
    raw: Path, file: Path, tables: Mapping[str, Table], schemas: tuple[str, ...] = ()
) -> Iterator[Opened]:
    """The tables in a DuckDB file.

    Args:
        raw: The DuckDB file, or the .url file that names it.
        file: The DuckDB file.
        tables: What is read, by name in lower case.
        schemas: The search path that the user chose; empty for none.
    """
    if not file.is_file():
        raise InputError(f"{raw}: there is no DuckDB file {file}")
    with (
        tempfile.TemporaryDirectory(prefix="icu-") as folder,
        connect(raw, file, folder, read_only=True) as connection,
    ):
        _choose_schemas(connection, raw, schemas)
        path = str(file).replace("{", "{{").replace("}", "}}")
        url = f"duckdb:///{path}?options=-csearch_path%3D{{schema}}"
        advice = f"choose one with a file NAME.url that holds {url}"
        found = locate(raw, reader_of(connection, raw, {}), tables, advice, bool(schemas))
        names = {
            name: column_names(raw, name, table, found[name].types)
            for name, table in tables.items()
        }
        sources = {
            name: Source(table, names[name], partial(str, found[name].relation))
            for name, table in tables.items()
        }
        views = {
            name: typed(table, found[name].relation, names[name], cast_sql)
            for name, table in tables.items()
        }
        yield views, reader_of(connection, raw, sources), {}


def _choose_schemas(
    connection: duckdb.DuckDBPyConnection, raw: Path, schemas: tuple[str, ...]
) -> None:
    there = connection.execute(
        "SELECT schema_name FROM duckdb_schemas()"
        " WHERE database_name = current_database() AND NOT internal OR schema_name = 'main'"
    ).fetchall()
    found = sorted({name for (name,) in there})
    if unknown := [schema for schema in schemas if schema not in found]:
        raise InputError(
            f"{raw}: search_path: the file has no schema {', '.join(unknown)}: "
            f"found {', '.join(found)}"
        )
    if schemas:
        path = ",".join(quoted(schema) for schema in schemas)
        connection.execute(f"SET search_path = {literal(path)}")


def connect(
    raw: Path, file: Path, temporary: str, read_only: bool = False
) -> closing[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file, with limits of its memory."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "temp_directory": f"{temporary}/spilled",
        "preserve_insertion_order": False,
    }
    try:
        connection = duckdb.connect(file, read_only=read_only, config=settings)
    except duckdb.Error:
        raise InputError(
            f"{raw} cannot be opened: it is not a DuckDB file, a newer DuckDB wrote it,"
            " or another program writes to it"
        ) from None
    connection.execute(f"SET threads = least(current_setting('threads'), {THREADS})")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")
    return closing(connection)


def _source(
    connection: duckdb.DuckDBPyConnection,
    raw: Path,
    name: str,
    table: Table,
    file: Path,
    totals: dict[str, int],
) -> Source:
    """A table of a folder. `totals` gets the rows of a CSV file whenever it is read."""
    parts = [file] if is_csv(file) else parquet_parts(raw, file)
    with readable(raw, name):
        names = column_names(
            raw, name, table, header(file) if is_csv(file) else pq.read_schema(parts[0]).names
        )

    def rows() -> str:
        connection.register("csv_rows", counted(stream(file, list(names.values())), name, totals))
        return "csv_rows"

    parquet = f"read_parquet([{', '.join(literal(glob.escape(str(part))) for part in parts)}])"
    return Source(table, names, rows if is_csv(file) else partial(str, parquet))


def reader_of(
    connection: duckdb.DuckDBPyConnection, raw: Path, sources: Mapping[str, Source]
) -> Reader:
    """What runs a SELECT. Errors of reading `sources` are one line each."""

    @contextmanager
    def reader(sql: str) -> Iterator[pa.RecordBatchReader]:
        with (
            explained(connection, raw, sources),
            connection.sql(sql).to_arrow_reader(BATCH_ROWS) as batches,
        ):
            yield batches

    return reader
