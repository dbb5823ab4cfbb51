"""Raw tables as typed views: one SQL text for every place where the tables may live."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
from sqlalchemy import URL

from icu_adversarial.core.errors import InputError

# The type of a column of measured values: DOUBLE PRECISION, and NaN for a text such as "<5".
MEASURED = "MEASURED"
Reader = Callable[[str], AbstractContextManager[pa.RecordBatchReader]]  # runs a SELECT
# An open place: the views of its tables, what runs a SELECT over them, and the number of rows of
# the CSV files.
Opened = tuple[dict[str, str], Reader, dict[str, int]]
# Both DuckDB and PostgreSQL answer this. place: of the schema on the
# search path.
CATALOG = """
SELECT table_schema, table_name, column_name, data_type,
       array_position(CAST(current_schemas(false) AS VARCHAR[]), CAST(table_schema AS VARCHAR))
         AS place
FROM information_schema.columns
WHERE table_catalog = current_database() AND lower(table_name) IN ({names})
"""


class MissingTableError(InputError):
    """A table is not there at all."""


class Table(NamedTuple):
    """What is read of a raw table.

    Attributes:
        columns: Name in lower case → SQL type that DuckDB and PostgreSQL share: BIGINT, INTEGER,
            DOUBLE PRECISION, VARCHAR or TIMESTAMP. Or MEASURED.
        keep: A column and the values of it that are needed. Rows with other values may be left
            out. They are left out when a CSV file is read.
    """

    columns: Mapping[str, str]
    keep: tuple[str, tuple[int, ...] | tuple[str, ...]] | None = None


class Found(NamedTuple):
    """A table in a database: its qualified name, and its columns with their types, as written."""

    relation: str
    types: dict[str, str]


def locate(
    raw: Path, reader: Reader, tables: Mapping[str, Table], advice: str, chosen: bool
) -> dict[str, Found]:
    """Where each table lies in a database.

    Args:
        raw: The place, for messages.
        reader: Runs a SELECT in the database.
        tables: What is looked for, by name in lower case.
        advice: How to choose a schema; `{schema}` in it stands for one of several.
        chosen: Whether the user gave a search path.

    Returns:
        The first table of each name on a chosen search path. Without one, the only table of the
        name in any schema.

    Raises:
        MissingTableError: A table is in no schema.
        InputError: A table is in several schemas, none of them chosen, or twice in one schema.
    """
    with reader(CATALOG.format(names=", ".join(map(literal, tables)))) as batches:
        catalog = batches.read_all().to_pandas()
    return {
        name: _choose(raw, name, catalog[catalog["table_name"].str.lower() == name], advice, chosen)
        for name in tables
    }


def _choose(raw: Path, name: str, catalog: pd.DataFrame, advice: str, chosen: bool) -> Found:
    if chosen:
        catalog = catalog[catalog["place"].notna()]
    if catalog.empty:
        where = " on the search path of the URL" if chosen else ""
        raise MissingTableError(f"{raw}: no table {name.upper()} that may be read{where}")
    schemas = sorted(catalog["table_schema"].unique())
    if chosen:
        schemas = [catalog.loc[catalog["place"].idxmin(), "table_schema"]]
    if len(schemas) > 1:
        raise InputError(
            f"{raw}: {name.upper()}: found in the schemas {', '.join(schemas)}: "
            + advice.format(schema=schemas[0])
        )
    columns = catalog[catalog["table_schema"] == schemas[0]]
    written = sorted(columns["table_name"].unique())
    if len(written) > 1:
        raise InputError(
            f"{raw}: {name.upper()} is there {len(written)} times in the schema {schemas[0]}: "
            f"{' and '.join(written)}: remove one"
        )
    return Found(
        f"{quoted(schemas[0])}.{quoted(written[0])}",
        dict(zip(columns["column_name"], columns["data_type"], strict=True)),
    )


def column_names(raw: Path, name: str, table: Table, found: Iterable[str]) -> dict[str, str]:
    """How each column of `table` is written among `found`.

    Raises:
        InputError: A column is missing, or there twice.
    """
    columns = list(found)
    written = {column.lower(): column for column in columns}
    if missing := [column for column in table.columns if column not in written]:
        headed = len(missing) < len(
            table.columns
        )  # else the first line of a CSV file may be a patient's row
        raise InputError(
            f"{raw}: {name.upper()} lacks the columns {', '.join(missing)}: "
            f"found {', '.join(sorted(written)) if headed else 'none of its columns'}"
        )
    lower = [column.lower() for column in columns]
    if twice := [column for column in table.columns if lower.count(column) > 1]:
        raise InputError(f"{raw}: {name.upper()} has the columns {', '.join(twice)} twice")
    return {column: written[column] for column in table.columns}


def sql_type(kind: str) -> str:
    """The SQL type of a value in a Table's column."""
    return "DOUBLE PRECISION" if kind == MEASURED else kind


def as_type(column: str, kind: str) -> str:
    """SQL of a column, as an identifier, in another type."""
    return f"CAST({column} AS {sql_type(kind)})"


def typed(
    table: Table,
    relation: str,
    names: Mapping[str, str],
    cast: Callable[[str, str], str] = as_type,
) -> str:
    """SELECT of the columns of `table` from `relation`, which writes them as in `names`.

    cast: gives the SQL of a column, as an identifier, in another type.
    """
    columns = ", ".join(
        f"{cast(quoted(names[column]), kind)} AS {column}" for column, kind in table.columns.items()
    )
    return f"SELECT {columns} FROM {relation}"


def kept(table: Table, names: Mapping[str, str]) -> str:
    """WHERE clause of the rows that `table` keeps."""
    if table.keep is None:
        return ""
    column, values = table.keep
    chosen = ", ".join(str(v) if isinstance(v, int) else literal(v) for v in values)
    return f" WHERE {quoted(names[column])} IN ({chosen})"


def search_path(url: URL) -> tuple[str, ...]:
    """The schemas that a URL's options choose, as in ?options=-csearch_path%3Dmimiciii."""
    options = " ".join(url.normalized_query.get("options", ()))
    path = re.search(r"(?:-c\s*|--)search_path=(\S+)", options)
    return tuple(schema.strip('"') for schema in path[1].split(",")) if path else ()


def with_views(views: Mapping[str, str], sql: str) -> str:
    """`sql`, which may begin with a WITH of its own, over `views`.

    It needs no right to create anything. The views are not materialised, so that filters reach the
    tables.
    """
    if not views:
        return sql
    heads = ", ".join(f"{name} AS NOT MATERIALIZED ({select})" for name, select in views.items())
    body = sql.strip()
    return f"WITH {heads}, {body[5:]}" if body[:5].upper() == "WITH " else f"WITH {heads} {body}"


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string constant."""
    return "'" + text.replace("'", "''") + "'"
