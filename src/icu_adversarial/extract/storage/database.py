"""Where raw tables are stored: in a folder, a DuckDB or SQLite file, or on a PostgreSQL server.

A *.url file names the server. One SQL text reads them all.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage import duck, postgres, sqlite
from icu_adversarial.extract.storage.views import Reader, Table, search_path, with_views

DUCKDB_SUFFIXES = (".duckdb", ".db")
URL_SUFFIX = ".url"
EXAMPLE = "postgresql+psycopg://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Database:
    """The tables given to open_raw, under their names, as typed views.

    SQL is written in the dialect that DuckDB and PostgreSQL share. Every method raises InputError,
    in one line that quotes no row, for values of a wrong type, damaged files and servers that fail.

    Attributes:
        views: The SELECT of each table that is read where it lies.
        reader: Runs a SELECT.
        totals: Rows of the CSV files that were read.
    """

    views: dict[str, str]
    reader: Reader
    totals: dict[str, int]

    def frame(self, sql: str) -> pd.DataFrame:
        """A result that fits into memory."""
        with self.reader(with_views(self.views, sql)) as batches:
            return batches.read_all().to_pandas()

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """A result of any size in bounded memory, in the order of `sql`."""
        with self.reader(with_views(self.views, sql)) as batches:
            yield from batches

    def rows(self, table: str) -> int:
        """All rows of a table, also those that its `keep` left out when a CSV file was read."""
        if table in self.totals:
            return self.totals[table]
        return int(self.frame(f"SELECT COUNT(*) AS n FROM {table}")["n"].iloc[0])


@contextmanager
def open_raw(raw: Path, tables: dict[str, Table]) -> Iterator[Database]:
    """Open a place with raw tables.

    In a database a table is the first of its name on the search path that the URL chooses
    (?options=-csearch_path%3DSCHEMA). Without such a choice it is the only one of its name.

    Args:
        raw: A folder (TABLE.parquet, .csv or .csv.gz, or a folder of Parquet files named TABLE;
            also in its sub-folders hosp and icu), a DuckDB file (.duckdb, .db), a SQLite file of
            any name, or a text file *.url with one SQLAlchemy URL of PostgreSQL or DuckDB. A URL
            has no password: it is read from PGPASSWORD or ~/.pgpass.
        tables: What `raw` must hold, by name in lower case. Names there may be in any case.

    Raises:
        InputError: A place, table or column is missing or unreadable, or a table is there twice.
            The message begins with `raw` and shows no password.
    """
    if raw.suffix.lower() == URL_SUFFIX:
        url = read_url(raw)
        if url.get_backend_name() == "duckdb":
            opened = duck.open_database(raw, Path(url.database or ""), tables, search_path(url))
        else:
            opened = postgres.open_database(raw, url, tables)
    elif sqlite.is_sqlite(raw):
        opened = sqlite.open_database(raw, tables)
    elif raw.suffix.lower() in DUCKDB_SUFFIXES:
        opened = duck.open_database(raw, raw, tables)
    else:
        opened = duck.open_folder(raw, tables)
    with opened as (views, reader, totals):
        yield Database(views, reader, totals)


def read_url(file: Path) -> URL:
    """Read the SQLAlchemy URL in `file`.

    Raises:
        InputError: There is no URL that can be used. The message quotes no word of the file, which
            may contain a password.
    """
    try:
        (text,) = file.read_text(encoding="utf-8").strip().splitlines()
        url = make_url(text)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except (ArgumentError, ValueError):
        raise InputError(
            f"{file} is not one line with a SQLAlchemy URL such as {EXAMPLE}"
        ) from None
    if (
        url.password
        or ":" in (url.username or "")
        or any("password" in key.lower() for key in url.query)
    ):
        raise InputError(
            f"{file}: the URL holds a password: take it out, and give it in PGPASSWORD or ~/.pgpass"
        )
    if url.get_backend_name() not in ("postgresql", "duckdb"):
        raise InputError(
            f"{file}: the URL is neither of PostgreSQL nor of DuckDB: give one such as {EXAMPLE}"
        )
    if url.get_backend_name() == "duckdb" and url.query and not _only_a_path(url):
        raise InputError(
            f"{file}: a URL of DuckDB may hold ?options=-csearch_path%3DSCHEMA and no other option"
        )
    return url


def _only_a_path(url: URL) -> bool:
    """Whether a search path is all that the URL's query says."""
    return set(url.query) == {"options"} and bool(
        re.fullmatch(r"(-c\s*|--)search_path=\S+", " ".join(url.normalized_query["options"]))
    )
