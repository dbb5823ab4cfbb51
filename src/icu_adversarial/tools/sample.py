"""The first rows of raw tables, and a small copy of raw records, for `validate`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from icu_adversarial.extract.storage import raw_files, sqlite
from icu_adversarial.extract.storage.database import URL_SUFFIX, Database, open_raw, read_url
from icu_adversarial.extract.storage.views import Table, column_names

PROBE = 0.1  # % of the pages of a server's table that are counted to estimate its length


def sample(
    raw: Path, source: str, tables: Mapping[str, Table], rows: int, folder: Path
) -> list[str]:
    """Copy a place with raw records to `folder`, with at most `rows` rows of each table.

    Returns:
        The tables that have more rows. Where there are none, the copy is not needed.
    """
    if source == "meds":  # one table, which has the rows of a subject together
        files = sorted(map(str, (raw / "data").rglob("*.parquet")))
        with raw_files.readable(raw, "data"):
            data = pyarrow.dataset.dataset(files)
            if data.count_rows() <= rows:
                return []
            (folder / "data").mkdir()
            pq.write_table(data.head(rows), folder / "data" / "0.parquet")
        if (raw / "metadata").is_dir():
            (folder / "metadata").symlink_to((raw / "metadata").resolve())
        return ["DATA"]
    cut = []
    for name, table in tables.items():
        with (
            first_rows(raw, name, table, rows) as (batches, some),
            pq.ParquetWriter(folder / f"{name}.parquet", batches.schema) as writer,
        ):
            left = rows
            for batch in batches:
                writer.write_batch(batch.slice(0, left))
                left -= len(batch)
                if left < 0:
                    break
        if some or left < 0:
            cut.append(name.upper())
    return cut


@contextmanager
def first_rows(
    raw: Path, name: str, table: Table, rows: int
) -> Iterator[tuple[pa.RecordBatchReader, bool]]:
    """Open a raw table without reading it to its end.

    Args:
        raw: A folder, a DuckDB file, a SQLite file or a .url file.
        name: The table's name in lower case.
        table: The columns.
        rows: How many rows are wanted. A database gives only one more.

    Yields:
        The table, and whether it is a sample from a server.

    Raises:
        InputError: The table or a column is missing or cannot be read.
    """
    if sqlite.is_sqlite(raw):
        with sqlite.stream(raw, name, Table(table.columns)) as batches:
            yield batches, False
        return
    if not raw.is_dir():
        with open_raw(raw, {name: Table(table.columns)}) as database:
            share = 100.0
            if rows and raw.suffix == URL_SUFFIX and read_url(raw).drivername != "duckdb":
                share = _share(database, name, rows)
            pages = f" TABLESAMPLE SYSTEM ({share}) REPEATABLE (0)" if share < 100 else ""
            query = f"{database.views[name]}{pages} LIMIT {rows + 1}"
            with database.reader(query) as batches:
                yield batches, share < 100
        return
    file = raw_files.find_file(raw, name)
    with raw_files.readable(raw, name):
        if raw_files.is_csv(file):
            columns = column_names(raw, name, table, raw_files.header(file))
            batches = raw_files.stream(file, list(columns.values()))
        else:
            data = pyarrow.dataset.dataset(list(map(str, raw_files.parquet_parts(raw, file))))
            columns = column_names(raw, name, table, data.schema.names)
            batches = data.scanner(list(columns.values()), batch_readahead=1).to_reader()
        with batches:
            yield batches, False


def _share(database: Database, name: str, rows: int) -> float:
    """The % of the pages of a server's table that have about `rows` rows.

    The pages are from all over the table, because a server may store it in parts by item id, and
    the first rows would then have only some of the measurements. A view has no pages.
    """
    views = f"SELECT count(*) AS n FROM information_schema.views WHERE lower(table_name) = '{name}'"
    if database.frame(views)["n"][0]:
        return 100.0
    pages = f"{database.views[name]} TABLESAMPLE SYSTEM ({PROBE}) REPEATABLE (0)"
    counted = int(database.frame(f"SELECT count(*) AS n FROM ({pages}) pages")["n"][0])
    return min(rows * PROBE / max(counted, 1), 100.0)
