"""What a place with raw records holds, in seconds, before a long run."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.labels import LABELS
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.registry import read
from icu_adversarial.extract.sources import meds_files
from icu_adversarial.measurements import MEASUREMENTS, NAMES, M, note
from icu_adversarial.tools.next_step import command
from icu_adversarial.tools.recognise import joined, recognise, tables_of
from icu_adversarial.tools.sample import (
    Size,
    copy_meds_sample,
    copy_sample,
    is_server,
    meds_size,
    missing,
    sizes,
)

ROWS = 2_000_000  # longer tables are sampled
SOURCES = tuple(source for source in LABELS if source != "synthetic")  # that one has its place
LABORATORY = np.array([m.items[0].table == "labevents" for m in MEASUREMENTS])


class Extracted(NamedTuple):
    """What was read.

    excluded: stays that the source leaves out, by reason; seen: bool (stays, M), whether a stay has
    a value of a measurement; sample: of what, in words, or ""; seconds: that reading took;
    whole_seconds: that the whole will take.
    """

    stays: pd.DataFrame
    excluded: dict[str, int]
    seen: np.ndarray
    sample: str
    seconds: float
    whole_seconds: float


def validate(
    raw: Path, source: str | None, window_hours: int, code_map: Path, rows: int = ROWS
) -> Iterator[str]:
    """Lines of text about a place with raw records.

    Where no table has more than `rows` rows, `raw` is extracted whole, and all numbers are exact.
    Otherwise a sample is extracted, with `rows` rows of each longer table, and the text says which
    numbers are of the sample.

    Args:
        raw: Anything that extract.raw may be.
        source: As extract.source, or None to recognise it by what lies there.
        window_hours: Length of the observation window.
        code_map: As extract.code_map.
        rows: Rows of a table above which it is sampled.

    Raises:
        InputError: `raw` cannot be extracted; every reason is in the message.
    """
    if not raw.exists():
        raise InputError(
            f"{raw} is missing: give a folder, a DuckDB file (.duckdb, .db) or a .url file"
        )
    if source not in (None, *SOURCES):
        raise InputError(f"--source: {source} is none of {', '.join(SOURCES)}")
    source, reasons = (source, missing(raw, tables_of(source))) if source else recognise(raw)
    yield f"{raw}: {LABELS[source]}, extract.source {source}"
    rows_of = (
        meds_size(raw)
        if source == "meds"
        else sizes(raw, {n: table for n, table in tables_of(source).items() if n not in reasons})
    )
    for name, (count, exact) in rows_of.items():
        yield f"  {name.upper():<15}" + (
            f"{count:,} rows" if exact else f"about {float(f'{count:.2g}'):,.0f} rows"
        )
    if reasons:
        raise InputError(f"{raw} is not usable as {source}: {joined(raw, reasons)}")
    found = _extract(raw, source, window_hours, code_map, rows_of, rows)
    yield from _cohort(found, found.sample if source == "meds" else "")
    yield from _coverage(found, source, window_hours)
    if not found.seen.any():
        raise InputError(
            f"{raw} is not usable as {source}: no value of any measurement lies in the first"
            f" {window_hours} hours of a stay"
        )
    if found.stays["died"].nunique() < 2 and not (source == "meds" and found.sample):
        raise InputError(f"{raw} is not usable as {source}: all stays have the same outcome")
    measured = f"{found.seconds:.1f} s for {'the sample' if found.sample else 'all of it'}"
    yield (
        f"`extract` will take about {_duration(found.whole_seconds)} on this machine,"
        f" judging by {measured}"
    )
    yield f"usable. Next:\n  {'dvc repro' if source == 'synthetic' else command(source, raw)}"


def _extract(
    raw: Path,
    source: str,
    window_hours: int,
    code_map: Path,
    rows_of: Mapping[str, Size],
    rows: int,
) -> Extracted:
    """By the source's own reader: all of `raw`, or a copy with `rows` rows of the longer tables."""
    long = {name.upper(): size.rows for name, size in rows_of.items() if size.rows > rows}
    with tempfile.TemporaryDirectory(prefix="icu-") as folder:
        place = Path(folder) if long else raw
        started = time.perf_counter()
        try:
            in_sample = 0
            if long and source == "meds":
                in_sample = copy_meds_sample(raw, list(meds_files.COLUMNS), rows, place)
            elif long:
                in_sample = copy_sample(raw, tables_of(source), rows_of, rows, place)
            copied = time.perf_counter()
            records = read(source, place, window_hours, MEASUREMENTS, code_map)
            stays_read = time.perf_counter()
            seen = _seen(records)
        except InputError as error:
            raise InputError(str(error).replace(str(place), str(raw))) from None
        seconds = time.perf_counter() - started
    if not long:
        return Extracted(records.stays, records.excluded, seen, "", seconds, seconds)
    factor = sum(long.values()) / max(in_sample, 1)
    part = "random pages of" if is_server(raw) else f"the first {rows:,} rows of"
    whole_seconds = factor * seconds - (factor - 1) * (
        stays_read - copied
    )  # the stays were read whole
    return Extracted(
        records.stays,
        records.excluded,
        seen,
        f"in a sample ({part} {', '.join(long)}): ",
        seconds,
        whole_seconds,
    )


def _seen(records: Records) -> np.ndarray:
    """bool (stays, M): has the stay a value of the measurement?"""
    ids = records.stays["stay_id"].to_numpy()
    seen = np.zeros((len(ids), M), bool)
    for batch in records.events:
        seen[
            np.searchsorted(ids, batch["stay_id"].to_numpy()),
            batch["measurement"].indices.to_numpy(),
        ] = True
    return seen


def _cohort(found: Extracted, sample: str) -> Iterator[str]:
    stays = found.stays
    unknown = stays["died"].isna().sum()
    deaths = f"{int(stays['died'].sum()):,} with death in the hospital" + (
        f", {unknown:,} with unknown outcome" if unknown else ""
    )
    subjects = stays["subject_id"].nunique()
    yield f"{sample}{len(stays):,} ICU stays of {subjects:,} subjects, {deaths}"
    for reason, count in found.excluded.items():
        yield f"{sample}{count:,} more ICU stays are left out, for want of: {reason}"
    groups = stays["source_group"].value_counts().sort_index()
    names = (
        f": {', '.join(f'{name} {count:,}' for name, count in groups.items())}"
        if len(groups) < 9
        else ""
    )
    yield f"{len(groups)} source groups (for split.test_groups){names}"


def _coverage(found: Extracted, source: str, window_hours: int) -> Iterator[str]:
    """One line per measurement.

    A sample has cut whole tables off most stays: there, a share is of the stays with any laboratory
    value, or with any vital sign.
    """
    base = (
        ", and their share of those with any laboratory value, or any vital sign"
        if found.sample
        else ""
    )
    yield f"{found.sample}stays with a value in their first {window_hours} hours{base}"
    for name, laboratory, seen in zip(NAMES, LABORATORY, found.seen.T, strict=True):
        of = (
            found.seen[:, laboratory == LABORATORY].any(axis=1).sum() if found.sample else len(seen)
        )
        about = note(source, name)
        line = f"  {name:<15}{seen.sum():>9,}{seen.sum() / max(of, 1):>7.0%}"
        yield f"{line}  {about}" if about else line


def _duration(seconds: float) -> str:
    return (
        f"{max(seconds, 1):.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} minutes"
        if seconds < 6000
        else f"{seconds / 3600:.1f} hours"
    )
