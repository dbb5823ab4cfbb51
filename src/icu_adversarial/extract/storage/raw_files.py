"""Raw tables as files of a folder: which file is a table, and CSV as a stream."""

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from icu_adversarial.core.errors import InputError
from icu_adversarial.extract.storage.views import MissingTableError

SUFFIXES = (".parquet", "", ".csv", ".csv.gz")  # without one: a folder of Parquet files
PLACES = ("", "hosp", "icu")  # MIMIC-IV keeps its tables in two folders
HEADER_BYTES = 1 << 16  # at most
# What a part or a copy of a table is called: by a name with the table's as a word, such as
# TABLE_2.csv, old-TABLE.csv or TABLE.csv (1).gz. A word has no digits. D_TABLE is a dictionary.
PART = r"(?!d_{0}\.)(.*[\W\d_])?{0}([\W\d_].*)?"
FORMAT = re.compile(r".*\.(csv|gz|parquet)[\W\d_]*", re.I)  # also TABLE.csv.1
# What file managers add to the name of a copy: "0 (copy)", "0 - Copy", "0 copy 2", "0 (1)".
COPY = "(copy|kopie|copie|copia)"
COPY_MARK = re.compile(
    rf"^{COPY} (of|von|de|di) |( ?\((another copy|\d+(st|nd|rd|th) copy|{COPY}|\d+)\)"
    rf"|[ _-]+{COPY}( \d+)?)+(?=\.[^.]*$)",
    re.I,
)


def find_file(raw: Path, name: str) -> Path:
    """The file, or folder of Parquet files, of a table.

    Args:
        raw: The folder with the raw tables.
        name: The table's name in lower case. Its file may be named in any case.

    Returns:
        The only file or folder of the table in `raw` and in its sub-folders of PLACES.

    Raises:
        MissingTableError: There is none.
        InputError: There are several, of which nobody can say which one is right, or a file or
            folder is called as a part or a copy of the table is.
    """
    files = [
        file
        for place in PLACES
        if (raw / place).is_dir()
        for file in sorted((raw / place).iterdir())
    ]
    found, parts = [], []
    part = re.compile(PART.format(re.escape(name)), re.IGNORECASE)
    for file in files:
        if file.name.lower() in [name + suffix for suffix in SUFFIXES]:
            if file.is_file() or _holds_parquet(file):
                found.append(file)
        elif (
            part.fullmatch(file.name)
            and not file.name.startswith(".")
            and (FORMAT.fullmatch(file.name) if file.is_file() else _holds_parquet(file))
        ):
            parts.append(file)
    if parts:
        names = ", ".join(str(file.relative_to(raw)) for file in parts)
        raise InputError(
            f"{raw}: {names} {'looks' if len(parts) == 1 else 'look'} like a part or a copy of"
            f" {name.upper()}: put the parts together in one table, or take it out"
        )
    if not found:
        raise MissingTableError(
            f"{raw}: no {name.upper()} (.parquet, .csv, .csv.gz or a folder of Parquet)"
            f" among its {len(files)} files"
        )
    if len(found) > 1:
        names = " and ".join(str(file.relative_to(raw)) for file in found)
        raise InputError(f"{raw}: {name.upper()} is there {len(found)} times: {names}: remove one")
    return found[0]


def _holds_parquet(folder: Path) -> bool:
    return not is_csv(folder) and any(folder.rglob("*.parquet"))


def refuse_copies(raw: Path, parts: Iterable[Path]) -> None:
    """Refuse a file that is called as a copy of another one.

    Args:
        raw: The folder with the raw data, for messages.
        parts: The files of a table.

    Raises:
        InputError: "0 (copy).parquet" lies in the folder of 0.parquet: its rows would count twice.
    """
    there = set(parts)
    for part in sorted(there):
        original = part.with_name(COPY_MARK.sub("", part.name) or part.name)
        if original != part and original in there:
            raise InputError(
                f"{raw}: {part.relative_to(raw)} looks like a copy of {original.name}: take it out"
            )


def parquet_parts(raw: Path, file: Path) -> list[Path]:
    """The Parquet files of a table, in order.

    Args:
        raw: The folder with the raw tables.
        file: What `find_file` gave: a Parquet file or a folder of them.

    Raises:
        InputError: The folder holds something else, which would be left out in silence.
    """
    if not file.is_dir():
        return [file]
    inside = [
        part
        for part in sorted(file.iterdir())
        if not part.name.startswith(".") and not (part.name.startswith("_") and not part.suffix)
    ]  # as _SUCCESS, which Spark writes
    for part in inside:
        if part.suffix != ".parquet" or not part.is_file():
            raise InputError(
                f"{raw}: {file.relative_to(raw)} holds {part.name}: a folder of a table holds"
                " *.parquet files and nothing else: take it out"
            )
    refuse_copies(raw, inside)
    return inside


def is_csv(file: Path) -> bool:
    return file.name.lower().endswith((".csv", ".csv.gz"))


@contextmanager
def readable(raw: Path, name: str) -> Iterator[None]:
    """Errors of reading the file of a table in `raw` as one line.

    The words of the reader are left out, because they may quote a row.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error, csv.Error, StopIteration, pa.ArrowException):
        raise InputError(
            f"{raw}: {name.upper()} cannot be read: it is damaged, or not what its name says"
        ) from None


def header(file: Path) -> list[str]:
    """The column names of a CSV file, as it writes them."""
    with gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb") as handle:
        return next(
            csv.reader([handle.readline(HEADER_BYTES).decode("utf-8-sig", errors="replace")])
        )


def stream(file: Path, columns: list[str]) -> pa.RecordBatchReader:
    """`columns` of a CSV file as text, in bounded memory.

    Arrow inflates in a thread of its own, faster than DuckDB, and checks the sums of gzip.
    """
    return pa.csv.open_csv(
        pa.input_stream(str(file)),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )


def counted(rows: pa.RecordBatchReader, name: str, totals: dict[str, int]) -> pa.RecordBatchReader:
    """The same rows; `totals` has the number of those that were read, under `name`."""
    totals[name] = 0

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            totals[name] += len(batch)
            yield batch

    return pa.RecordBatchReader.from_batches(rows.schema, batches())
