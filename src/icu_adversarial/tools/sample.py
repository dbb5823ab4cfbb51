"""How large the raw tables are, and a small copy of them: what a few seconds can tell of a place that takes minutes to read."""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.database import URL_SUFFIX, Database, open_raw, read_url
from icu_adversarial.extract.storage.postgres import libpq_uri
from icu_adversarial.extract.storage.raw_files import (
    find_file,
    header,
    is_csv,
    parquet_parts,
    readable,
    stream,
)
from icu_adversarial.extract.storage.views import Table, column_names, with_views

SNIFFED = 1 << 25  # bytes of a CSV file, from which the rows of a longer one are estimated
PROBED = 10_000  # rows of a server's table, likewise


class Size(NamedTuple):
    """Rows of a table; exact, or an estimate."""

    rows: int
    exact: bool


def missing(raw: Path, tables: Mapping[str, Table]) -> dict[str, InputError]:
    """Of the tables that open_raw would refuse to read in `raw`, why. No row is read."""
    reasons: dict[str, InputError] = {}
    for name, table in tables.items():
        try:
            if file := _csv(raw, name):
                with readable(raw, name):
                    column_names(raw, name, table, header(file))
            else:
                with open_raw(raw, {name: table}):
                    pass
        except InputError as error:
            reasons[name] = error
    return reasons


def sizes(raw: Path, tables: Mapping[str, Table]) -> dict[str, Size]:
    """Of tables that are not `missing`. No CSV file is read to its end, and of a server's table some pages."""
    found, others = {}, {}
    for name, table in tables.items():
        if file := _csv(raw, name):
            with readable(raw, name):
                found[name] = _lines(file)
        else:
            others[name] = Table(table.columns)
    if others:
        with open_raw(raw, others) as database:
            found |= {
                name: _probed(raw, database, name)
                if is_server(raw)
                else Size(_count(database, name), exact=True)
                for name in others
            }
    return {name: found[name] for name in tables}


def meds_size(raw: Path) -> dict[str, Size]:
    """Rows of a MEDS data set, as one table. Raises InputError for a file that is not Parquet."""
    with readable(raw, "data"):
        return {
            "data": Size(
                sum(pq.read_metadata(file).num_rows for file in (raw / "data").rglob("*.parquet")),
                exact=True,
            )
        }


def copy_sample(
    raw: Path, tables: Mapping[str, Table], rows_of: Mapping[str, Size], rows: int, folder: Path
) -> int:
    """Make `folder` a place that holds the tables of `raw`, but of those with more than `rows` rows only so many: the first ones; from a server,
    which may keep a table in parts by item id, a tenth of that on pages from all over. Return how many rows of these longer tables are in it."""
    copied = 0
    for name, table in tables.items():
        long = rows_of[name].rows > rows
        if raw.is_dir() and not long:
            file = find_file(raw, name)
            (folder / file.name).symlink_to(file.resolve())
        else:
            with (
                readable(raw, name),
                _opened(raw, name, table, rows_of[name].rows, rows) as batches,
            ):
                written = _write_head(folder / f"{name}.parquet", batches, rows)
            copied += written if long else 0
    return copied


def copy_meds_sample(raw: Path, columns: list[str], rows: int, folder: Path) -> int:
    """Make `folder` a MEDS data set with the first `rows` rows of that in `raw`, which keeps the rows of a subject together. Return `rows`."""
    (folder / "data").mkdir()
    if (raw / "metadata").is_dir():
        (folder / "metadata").symlink_to((raw / "metadata").resolve())
    with (
        readable(raw, "data"),
        _in_order(_parquet((raw / "data").rglob("*.parquet")), columns) as batches,
    ):
        return _write_head(folder / "data" / "0.parquet", batches, rows)


def _write_head(path: Path, batches: pa.RecordBatchReader, rows: int) -> int:
    """Write no more than `rows` rows; return how many."""
    left = rows
    with pq.ParquetWriter(path, batches.schema, compression="none") as writer:
        for batch in batches:
            part = batch.slice(0, left)
            writer.write_batch(part)
            left -= part.num_rows
            if not left:
                break
    return rows - left


def is_server(raw: Path) -> bool:
    return raw.suffix.lower() == URL_SUFFIX and read_url(raw).get_backend_name() == "postgresql"


@contextmanager
def _opened(
    raw: Path, name: str, table: Table, whole: int, rows: int
) -> Iterator[pa.RecordBatchReader]:
    """Batches that begin with the sample."""
    if file := _csv(raw, name):
        with stream(file, list(column_names(raw, name, table, header(file)).values())) as batches:
            yield batches
    elif raw.is_dir():
        file = find_file(raw, name)
        data = _parquet(parquet_parts(raw, file))
        with _in_order(
            data, list(column_names(raw, name, table, data.schema.names).values())
        ) as batches:
            yield batches
    else:
        with (
            open_raw(raw, {name: Table(table.columns)}) as database,
            database.reader(_sample_query(raw, database, name, whole, rows)) as batches,
        ):
            yield batches


def _sample_query(raw: Path, database: Database, name: str, whole: int, rows: int) -> str:
    if _is_view(database, name):
        return f"{database.views[name]} LIMIT {rows}"
    if not is_server(raw):
        return f"{database.views[name]} WHERE rowid < {rows}"  # LIMIT would take those that a thread finds first
    return (
        _pages(database, name, 10 * rows / whole) if whole > rows else database.views[name]
    )  # a tenth: a disk is slow to find scattered pages


def _parquet(files: Iterable[Path]) -> pyarrow.dataset.Dataset:
    return pyarrow.dataset.dataset(sorted(map(str, files)))


def _in_order(data: pyarrow.dataset.Dataset, columns: list[str]) -> pa.RecordBatchReader:
    return data.scanner(columns, batch_readahead=1, fragment_readahead=1).to_reader()


def _csv(raw: Path, name: str) -> Path | None:
    """The CSV file of the table, if it is one."""
    if not raw.is_dir():
        return None
    file = find_file(raw, name)
    return file if is_csv(file) else None


def _lines(file: Path) -> Size:
    """Without the header. A longer file is taken to go on as it begins."""
    with file.open("rb") as packed:
        text = gzip.GzipFile(fileobj=packed) if file.suffix.lower() == ".gz" else packed
        beginning = text.read(SNIFFED)
        lines = beginning.count(b"\n")
        if text.read(1):
            return Size(round(lines * file.stat().st_size / packed.tell()) - 1, exact=False)
        return Size(lines - beginning.endswith(b"\n"), exact=True)


def _count(database: Database, relation: str) -> int:
    return int(database.frame(f"SELECT count(*) AS rows FROM {relation}")["rows"][0])


def _probed(raw: Path, database: Database, name: str) -> Size:
    """The rows on pages from all over a server's table. The server's own estimate can be far off until its ANALYZE: it only says how many pages."""
    with dbapi.connect(libpq_uri(read_url(raw))) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(
            **{"adbc.postgresql.use_copy": "false"}
        )  # the server copies no plans
        cursor.execute(
            "EXPLAIN (FORMAT JSON) " + with_views(database.views, f"SELECT * FROM {name}")
        )
        planned = int(json.loads(cursor.fetchone()[0])[0]["Plan"]["Plan Rows"])
    if _is_view(database, name):
        return Size(planned, exact=False)
    percent = min(100 * PROBED / planned, 100)
    return Size(
        round(_count(database, f"({_pages(database, name, percent)}) pages") * 100 / percent),
        exact=percent == 100,
    )


def _pages(database: Database, name: str, percent: float) -> str:
    """SELECT of the rows on a share of a table's pages, which are from all over."""
    return f"{database.views[name]} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)"


def _is_view(database: Database, name: str) -> bool:
    """A view has no pages."""
    return _count(database, f"information_schema.views WHERE lower(table_name) = '{name}'") > 0
