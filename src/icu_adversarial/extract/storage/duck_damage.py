"""Which of the raw tables DuckDB cannot read, and why, in one line that quotes no row."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.duck_casts import cast_sql
from icu_adversarial.extract.storage.views import Table, quoted


class Source(NamedTuple):
    """A table, how its columns are written, and what gives a relation to select them from.

    The relation of a CSV file is a new stream every time.
    """

    table: Table
    names: dict[str, str]
    relation: Callable[[], str]


@contextmanager
def explained(
    connection: duckdb.DuckDBPyConnection, raw: Path, sources: Mapping[str, Source]
) -> Iterator[None]:
    """Errors of reading `sources` from `raw` as InputError."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise _explanation(connection, raw, sources, error) from None


def _explanation(
    connection: duckdb.DuckDBPyConnection,
    raw: Path,
    sources: Mapping[str, Source],
    error: Exception,
) -> InputError:
    """Which column holds what its type does not allow.

    DuckDB's own message quotes the row, and rows are patients.
    """
    if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error):
        return InputError(
            f"{raw}: no room to sort in {tempfile.gettempdir()}:"
            " set TMPDIR to a folder on a larger disk"
        )
    for name, (table, names, relation) in sources.items():
        counts = ", ".join(
            f"count(*) FILTER (WHERE {quoted(names[column])} IS NOT NULL"
            f" AND {cast_sql(quoted(names[column]), kind, 'TRY_CAST')} IS NULL)"
            for column, kind in table.columns.items()
        )
        try:
            wrong = connection.execute(f"SELECT {counts} FROM {relation()}").fetchall()[0]
        except (duckdb.Error, pa.ArrowException, OSError):
            return InputError(
                f"{raw}: {name.upper()} cannot be read to its end: it is damaged or not the table"
                " that its name says"
            )
        for (column, kind), count in zip(table.columns.items(), wrong, strict=True):
            if count:
                return InputError(f"{raw}: {name.upper()}.{column}: {count} values are no {kind}")
    return InputError(
        f"{raw}: {', '.join(map(str.upper, sources))} cannot be read together"
        f" ({type(error).__name__})"
    )
