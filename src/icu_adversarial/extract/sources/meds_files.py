"""A MEDS data set on disk: which files it has, and views of them. meds.py calls this module."""

import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.duck import MEMORY
from icu_adversarial.extract.storage.duck_casts import cast_sql
from icu_adversarial.extract.storage.raw_files import refuse_copies
from icu_adversarial.extract.storage.views import literal, quoted

COLUMNS = {
    "subject_id": "BIGINT",
    "time": "TIMESTAMP",
    "code": "VARCHAR",
    "numeric_value": "DOUBLE",
}
OPTIONAL = {"hadm_id": "BIGINT"}
SPLITS = Path("metadata") / "subject_splits.parquet"
SPLIT_COLUMNS = {"subject_id": "BIGINT", "split": "VARCHAR"}


@contextmanager
def open_meds(raw: Path, **frames: pd.DataFrame) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection to a MEDS data set.

    Args:
        raw: Root of the data set.
        frames: Tables that the queries need in addition, by name.

    Returns:
        A connection with the views events and splits of the data, and `frames`.

    Raises:
        InputError: Files or columns are missing, damaged, or copies of each other.
    """
    files = _shards(raw)
    with (
        tempfile.TemporaryDirectory(prefix="icu-") as folder,
        closing(
            duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": folder})
        ) as opened,
    ):
        try:
            opened.execute("SET TimeZone = 'UTC'")  # else that of the machine
            _view(opened, raw, "events", files, COLUMNS, OPTIONAL)
            if (raw / SPLITS).is_file():
                _view(opened, raw, "splits", [raw / SPLITS], SPLIT_COLUMNS)
            else:
                opened.execute("CREATE TABLE splits (subject_id BIGINT, split VARCHAR)")
            for name, frame in frames.items():
                opened.register(name, frame)
            yield opened
        except (duckdb.Error, pa.ArrowException) as error:
            raise _explanation(raw, error) from None


def _shards(raw: Path) -> list[Path]:
    """Every Parquet file below `raw`/data, through links to folders as well, each file once."""
    found: dict[Path, Path] = {}
    seen: set[Path] = set()
    for folder, below, names in os.walk(raw / "data", followlinks=True):
        seen.add(Path(folder).resolve())
        below[:] = sorted(name for name in below if Path(folder, name).resolve() not in seen)
        for name in sorted(names):
            if name.lower().endswith(".parquet"):
                found.setdefault(Path(folder, name).resolve(), Path(folder, name))
    files = sorted(found.values())
    if not files:
        raise InputError(f"{raw} holds no data/**/*.parquet: give the root of a MEDS data set")
    refuse_copies(raw, files)
    return files


def _explanation(raw: Path, error: Exception) -> InputError:
    """DuckDB's own messages may quote a row, and rows are patients."""
    if isinstance(error, duckdb.ConversionException):
        types = ", ".join(f"{column} {kind}" for column, kind in (COLUMNS | OPTIONAL).items())
        return InputError(f"{raw}: a value is not of the type that MEDS gives it ({types})")
    if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error):
        return InputError(
            f"{raw}: no room to sort in {tempfile.gettempdir()}: "
            "set TMPDIR to a folder on a larger disk"
        )
    return InputError(f"{raw}: a Parquet file is damaged, or not what its name says")


def _view(
    connection: duckdb.DuckDBPyConnection,
    raw: Path,
    name: str,
    files: list[Path],
    columns: dict[str, str],
    optional: dict[str, str] | None = None,
) -> None:
    """A view of the files: `columns`, which every file needs, and `optional` ones, else null."""
    found = [set(pq.read_schema(file).names) for file in files]
    if missing := [column for column in columns if any(column not in names for names in found)]:
        lacking = [names for names in found if not names >= set(columns)]
        raise InputError(
            f"{raw}: {len(lacking)} of {len(files)} files of {name} lack the columns "
            f"{', '.join(missing)}: found {', '.join(sorted(lacking[0]))}"
        )
    absent = {column for column in optional or {} if all(column not in names for names in found)}
    typed = ", ".join(
        f"{cast_sql('NULL' if column in absent else quoted(column), kind)} AS {quoted(column)}"
        for column, kind in (columns | (optional or {})).items()
    )
    paths = ", ".join(literal(glob.escape(str(file))) for file in files)
    relation = f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
    connection.execute(f"CREATE VIEW {name} AS SELECT {typed} FROM {relation}")
