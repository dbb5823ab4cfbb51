"""Raw tables on a PostgreSQL server, read through ADBC.

The server filters and sorts. Rows come as Arrow batches by its binary COPY.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from adbc_driver_postgresql import dbapi
from sqlalchemy import URL

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.views import (
    Opened,
    Reader,
    Table,
    column_names,
    locate,
    search_path,
    sql_type,
    typed,
)

OPTION = "?options=-csearch_path%3D{schema}"
WHOLE = ("smallint", "integer", "bigint", "numeric")
# The types of the server that hold the values of a view's type. Any other type is refused before a
# row is read. VARCHAR is not listed, because every type has a text.
FITTING = {
    "BIGINT": WHOLE,
    "INTEGER": WHOLE,
    "DOUBLE PRECISION": (*WHOLE, "real", "double precision"),
    "TIMESTAMP": ("timestamp without time zone", "date"),
}


@contextmanager
def open_database(raw: Path, url: URL, tables: Mapping[str, Table]) -> Iterator[Opened]:
    """The tables on the server at `url`.

    Args:
        raw: The .url file, for messages.
        url: Where the server is. Without a search_path in it, a table has to be the only one of
            its name; the search path of the server does not count.
        tables: What is read, by name in lower case.
    """
    try:
        connection = dbapi.connect(libpq_uri(url))
    except dbapi.Error as error:
        reason = str(error).partition("Failed to connect: ")[2].partition("\n")[0]
        raise InputError(f"{raw}: {reason}") from None
    with connection:
        reader = _reader(connection, raw)
        chosen = bool(search_path(url))
        found = locate(raw, reader, tables, f"choose one in the URL, {OPTION}", chosen)
        views = {}
        for name, table in tables.items():
            names = column_names(raw, name, table, found[name].types)
            for column, kind in table.columns.items():
                written = found[name].types[names[column]]
                _check_type(raw, f"{name.upper()}.{column}", written, sql_type(kind))
            views[name] = typed(table, found[name].relation, names)
        yield views, reader, {}


def libpq_uri(url: URL) -> str:
    """`url` for libpq, which reads a + in the query as a plus, not as a blank."""
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)
    place, mark, query = text.partition("?")
    return place + mark + query.replace("+", "%20")


def _check_type(raw: Path, column: str, found: str, kind: str) -> None:
    if found not in FITTING.get(kind, (found,)):
        raise InputError(
            f"{raw}: {column} is of type {found}, not {kind}:"
            " load the table with the column types of mimic-code"
        )


def _reader(connection: dbapi.Connection, raw: Path) -> Reader:
    @contextmanager
    def reader(sql: str) -> Iterator[pa.RecordBatchReader]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                with cursor.fetch_record_batch() as batches:
                    yield batches
        except (
            dbapi.Error,
            pa.ArrowException,
            OSError,
        ):  # the server's own words may quote a value
            raise InputError(f"{raw}: the server broke off the query: see its log") from None

    return reader
