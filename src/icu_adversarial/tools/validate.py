"""Check a place with raw records in seconds, before a long run.

`validate` recognises the source, names the tables and columns that are missing, reads a sample with
the source's own reader, counts the stays with each measurement, and prints the next command.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.labels import LABELS
from icu_adversarial.core.paths import SYNTHETIC
from icu_adversarial.extract.coverage import Coverage
from icu_adversarial.extract.records import Records
from icu_adversarial.extract.registry import READERS, read
from icu_adversarial.extract.sources.challenge2012 import SETS
from icu_adversarial.extract.storage.views import MissingTableError, Table
from icu_adversarial.measurements import Measurement, choose, names_of, note
from icu_adversarial.tools.next_step import command
from icu_adversarial.tools.sample import first_rows, sample

ROWS = 2_000_000  # rows of a sample, per table


def validate(
    raw: Path,
    source: str | None,
    window_hours: int,
    code_map: Path,
    names: Sequence[str],
    rows: int = ROWS,
) -> Iterator[str]:
    """Report what a place with raw records contains.

    Args:
        raw: A value of extract.raw.
        source: A value of extract.source, or None to recognise it.
        window_hours: Length of the observation window.
        code_map: The value of extract.code_map.
        names: The measurements to look for.
        rows: Only so many rows of a longer table are read.

    Yields:
        Lines of text.

    Raises:
        InputError: `extract` cannot read `raw`. The message has every reason.
    """
    if not raw.exists():
        raise InputError(f"{raw} is missing: give a folder, or a DuckDB, SQLite or .url file")
    if source not in (None, *READERS):
        raise InputError(f"--source: {source} is none of {', '.join(READERS)}")
    source = source or recognise(raw)
    yield f"{raw}: {LABELS[source]} (extract.source: {source})"
    unusable = f"{raw} cannot be used as {source}"
    measurements = choose(names, source)
    if reasons := missing(raw, source, measurements):
        texts = (str(reason).removeprefix(f"{raw}: ") for reason in reasons)
        raise InputError(f"{unusable}: {'; '.join(texts)}")
    with tempfile.TemporaryDirectory(prefix="icu-") as folder:
        cut = sample(raw, source, tables_of(source, measurements), rows, Path(folder))
        place = Path(folder) if cut else raw
        try:
            records = read(source, place, window_hours, measurements, code_map)
            coverage = Coverage(records.stays["stay_id"].to_numpy(), names)
            for _ in coverage.watch(records.events):
                pass
        except InputError as error:
            raise InputError(str(error).replace(str(place), str(raw))) from None
    if cut:
        yield f"All counts are those of a sample: at most {rows:,} rows of {', '.join(cut)}"
    yield from _cohort(records)
    yield f"Stays with a value in their first {window_hours} hours:"
    for name, count in zip(names, coverage.seen.sum(axis=0), strict=True):
        share = "" if cut else f"{count / len(records.stays):7.0%}"
        yield f"  {name:<15}{count:>9,}{share}  {note(source, name, names)}".rstrip()
    if not coverage.seen.any():
        raise InputError(f"{unusable}: no value of a measurement in the first {window_hours} hours")
    if records.stays["died"].nunique() < 2 and not cut:
        raise InputError(f"{unusable}: all stays have the same outcome")
    yield f"Usable. Next:\n  {'dvc repro' if raw == SYNTHETIC else command(source, raw)}"


def _cohort(records: Records) -> Iterator[str]:
    """Lines about the stays, their outcomes and their groups."""
    stays = records.stays
    deaths, unknown = int(stays["died"].sum()), int(stays["died"].isna().sum())
    yield (
        f"{len(stays):,} ICU stays of {stays['subject_id'].nunique():,} subjects,"
        f" {deaths:,} deaths in the hospital, {unknown:,} unknown outcomes"
    )
    for rule, count in records.excluded.items():
        yield f"{count:,} more ICU stays are left out: {rule}"
    groups = stays["source_group"].value_counts().sort_index()
    names = ", ".join(f"{name} ({count:,})" for name, count in groups.head(8).items())
    yield f"{len(groups)} source groups (for split.test_groups): {names}"


def recognise(raw: Path) -> str:
    """The source whose tables `raw` contains.

    Raises:
        InputError: `raw` has no readable table of any source.
    """
    if raw == SYNTHETIC:
        return "synthetic"
    sets = (f"{name}{suffix}" for name in SETS for suffix in ("", ".tar.gz"))
    if any((raw / name).exists() for name in sets):
        return "challenge2012"
    if any((raw / "data").rglob("*.parquet")):
        return "meds"
    usual = choose(names_of("literature"))  # tables of rarer measurements need not be there
    reasons = {source: missing(raw, source, usual) for source in ("mimiciii", "mimiciv", "eicu")}
    best = min(reasons, key=lambda source: len(reasons[source]))
    if len(reasons[best]) < len(tables_of(best, usual)):
        return best
    for reason in reasons[best]:
        if not isinstance(reason, MissingTableError):
            raise reason
    raise InputError(
        f"{raw} contains no table of MIMIC-III, MIMIC-IV or eICU, no set of Challenge 2012 and no"
        " data/**/*.parquet of MEDS"
    )


def tables_of(source: str, measurements: Sequence[Measurement]) -> Mapping[str, Table]:
    """The tables that the reader of a source reads. Challenge 2012 and MEDS have none."""
    reader = import_module(f"icu_adversarial.extract.sources.{READERS[source]}")
    return reader.tables(measurements) if hasattr(reader, "tables") else {}


def missing(raw: Path, source: str, measurements: Sequence[Measurement]) -> list[InputError]:
    """Why tables of a source cannot be read in `raw`. Almost no row is read."""
    reasons = []
    for name, table in tables_of(source, measurements).items():
        try:
            with first_rows(raw, name, table, 0):
                pass
        except InputError as error:
            reasons.append(error)
    return reasons
