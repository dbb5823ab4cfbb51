"""Raw tables as files of a folder: which file is a table, and CSV as a stream."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from icu_adversarial.errors import InputError

SUFFIXES = (
    ".parquet",
    "",
    ".csv",
    ".csv.gz",
)  # the first found is read; without a suffix: a folder of Parquet files
PLACES = ("", "hosp", "icu")  # MIMIC-IV keeps its tables in two folders
HEADER_BYTES = 1 << 16  # at most


def find_file(raw: Path, name: str) -> Path:
    """The file, or folder of Parquet files, of a table in the folder `raw`. Raises InputError if there is none."""
    files = {
        (place, file.name.lower()): file
        for place in PLACES
        if (raw / place).is_dir()
        for file in sorted((raw / place).iterdir())
    }
    for place in PLACES:
        for suffix in SUFFIXES:
            file = files.get((place, name + suffix))
            if file and (
                file.is_file() or (suffix in (".parquet", "") and any(file.glob("*.parquet")))
            ):
                return file
    raise InputError(
        f"{raw}: no {name.upper()} (.parquet, .csv, .csv.gz or a folder of Parquet) among its {len(files)} files"
    )


def is_csv(file: Path) -> bool:
    return file.name.lower().endswith((".csv", ".csv.gz"))


@contextmanager
def readable(raw: Path, name: str) -> Iterator[None]:
    """Errors of reading the file of a table in `raw` as one line, without the words of the reader, which may quote a row."""
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
    """`columns` of a CSV file as text, in bounded memory. Arrow inflates in a thread of its own, faster than DuckDB, and checks the sums of gzip."""
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
