"""Raw tables as typed views: one SQL text for every place where the tables may live."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from icu_adversarial.errors import InputError

Reader = Callable[[str], AbstractContextManager[pa.RecordBatchReader]]  # runs a SELECT
# Both DuckDB and PostgreSQL answer this. place: where the schema stands on the search path.
CATALOG = """
SELECT table_schema, table_name, column_name, data_type,
       array_position(CAST(current_schemas(false) AS VARCHAR[]), CAST(table_schema AS VARCHAR)) AS place
FROM information_schema.columns
WHERE table_catalog = current_database() AND lower(table_name) IN ({names})
"""


class Table(NamedTuple):
    """What is read of a raw table.

    columns: name in lower case → SQL type: BIGINT, INTEGER, DOUBLE PRECISION, VARCHAR or TIMESTAMP, which DuckDB and PostgreSQL share.
    keep: a column and the values of it that matter: rows with others may be left out, as a CSV file that streams by leaves them out.
    """

    columns: Mapping[str, str]
    keep: tuple[str, tuple[int, ...] | tuple[str, ...]] | None = None


class Found(NamedTuple):
    """A table in a database: its qualified name, and its columns with their types, as they are written there."""

    relation: str
    types: dict[str, str]


def locate(raw: Path, reader: Reader, tables: Mapping[str, Table]) -> dict[str, Found]:
    """Each table in the database: the first of its name on the search path, else the only one of its name. Raises InputError."""
    with reader(CATALOG.format(names=", ".join(map(literal, tables)))) as batches:
        catalog = batches.read_all().to_pandas()
    return {
        name: _choose(raw, name, catalog[catalog["table_name"].str.lower() == name])
        for name in tables
    }


def _choose(raw: Path, name: str, catalog: pd.DataFrame) -> Found:
    if catalog.empty:
        raise InputError(f"{raw}: no table {name.upper()} that may be read")
    schemas = sorted(catalog["table_schema"].unique())
    if catalog["place"].notna().any():
        schemas = [catalog.loc[catalog["place"].idxmin(), "table_schema"]]
    if len(schemas) > 1:
        raise InputError(
            f"{raw}: {name.upper()} lies in the schemas {', '.join(schemas)}: choose one in the URL, ?options=-csearch_path%3D{schemas[0]}"
        )
    columns = catalog[catalog["table_schema"] == schemas[0]]
    written = columns["table_name"].max()  # in lower case, should there be both
    columns = columns[columns["table_name"] == written]
    return Found(
        f"{quoted(schemas[0])}.{quoted(written)}",
        dict(zip(columns["column_name"], columns["data_type"], strict=True)),
    )


def column_names(raw: Path, name: str, table: Table, found: Iterable[str]) -> dict[str, str]:
    """How each column of `table` is written among `found`. Raises InputError for those that are missing."""
    written = {column.lower(): column for column in found}
    if missing := [column for column in table.columns if column not in written]:
        headed = len(missing) < len(
            table.columns
        )  # else the first line of a CSV file may be a patient's row
        raise InputError(
            f"{raw}: {name.upper()} lacks the columns {', '.join(missing)}: found {', '.join(sorted(written)) if headed else 'none of its columns'}"
        )
    return {column: written[column] for column in table.columns}


def typed(table: Table, relation: str, names: Mapping[str, str]) -> str:
    """SELECT of the columns of `table` from `relation`, which writes them as in `names`."""
    columns = ", ".join(
        f"CAST({quoted(names[column])} AS {kind}) AS {column}"
        for column, kind in table.columns.items()
    )
    return f"SELECT {columns} FROM {relation}"


def kept(table: Table, names: Mapping[str, str]) -> str:
    """WHERE clause of the rows that `table` keeps."""
    if table.keep is None:
        return ""
    column, values = table.keep
    return f" WHERE {quoted(names[column])} IN ({', '.join(str(value) if isinstance(value, int) else literal(value) for value in values)})"


def with_views(views: Mapping[str, str], sql: str) -> str:
    """`sql`, which may begin with a WITH of its own, over `views`: needs no right to create anything. Not materialised: filters reach the tables."""
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
