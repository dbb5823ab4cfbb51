"""Which source's tables lie in a place, and why they cannot be read; for `validate`."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from icu_adversarial.core.errors import InputError
from icu_adversarial.core.paths import SYNTHETIC
from icu_adversarial.extract.sources import challenge2012
from icu_adversarial.extract.storage.views import MissingTableError, Table
from icu_adversarial.tools.sample import missing

READERS = {
    "mimiciii": "mimic3",
    "mimiciv": "mimic4",
    "eicu": "eicu",
    "synthetic": "mimic3",
}  # those that read tables


def recognise(raw: Path) -> tuple[str, dict[str, InputError]]:
    """The source whose tables `raw` lacks the fewest of.

    Returns:
        The source, and by table why it cannot be read.

    Raises:
        InputError: `raw` has no table of any source, or it cannot be told whose tables it has.
    """
    if raw == SYNTHETIC:
        return "synthetic", missing(raw, tables_of("synthetic"))
    if any(
        (raw / f"{name}{suffix}").exists()
        for name in challenge2012.SETS
        for suffix in ("", ".tar.gz")
    ):
        return "challenge2012", {}
    if any((raw / "data").rglob("*.parquet")):
        return "meds", {}
    reasons = {}
    for source in ("mimiciii", "mimiciv", "eicu"):
        reasons[source] = missing(raw, tables_of(source))
        if not reasons[source]:
            return source, {}
    best = min(reasons, key=lambda name: _lacks(reasons[name]))
    if _lacks(reasons[best])[0] < len(tables_of(best)):
        if list(map(_lacks, reasons.values())).count(_lacks(reasons[best])) == 1:
            return best, reasons[best]
        # MIMIC-III and MIMIC-IV alike, or nothing to do with tables: no database, no answer
        text = joined(raw, reasons[best])
        raise InputError(text if text.startswith(str(raw)) else f"{raw}: {text}")
    raise InputError(
        f"{raw} holds no table of MIMIC-III, MIMIC-IV or eICU, no set of Challenge 2012,"
        " no data/**/*.parquet of MEDS: see README"
    )


def _lacks(reasons: Mapping[str, InputError]) -> tuple[int, int]:
    """Tables that are not there at all, and tables that cannot be read."""
    absent = sum(isinstance(reason, MissingTableError) for reason in reasons.values())
    return absent, len(reasons)


def joined(raw: Path, reasons: Mapping[str, InputError]) -> str:
    """All reasons, each once, without the name of the place."""
    tables: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        text = str(reason).removeprefix(f"{raw}: ")
        tables.setdefault(text.removeprefix(name.upper()), []).append(name.upper())
    return "; ".join(
        f"{', '.join(names)}{text}" if text.startswith((" ", ":")) else text
        for text, names in tables.items()
    )


def tables_of(source: str) -> Mapping[str, Table]:
    """The tables that the reader of a source reads; none for sources without tables."""
    return (
        import_module(f"icu_adversarial.extract.sources.{READERS[source]}").TABLES
        if source in READERS
        else {}
    )
