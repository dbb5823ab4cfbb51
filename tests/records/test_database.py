from pathlib import Path

import pytest
from places import MIMIC3, to_csv, to_duckdb, to_parquet, to_postgres

from icu_adversarial.measurements import MEASUREMENTS
from icu_adversarial.records import mimic3
from icu_adversarial.tables import EVENTS, STAYS, write_batches, write_table


def extracted(raw: Path, folder: Path) -> tuple[bytes, bytes]:
    stays, events = mimic3.read(raw, 48, MEASUREMENTS)
    write_batches(folder / "events.parquet", events, EVENTS)
    write_table(folder / "stays.parquet", stays, STAYS)
    return (folder / "stays.parquet").read_bytes(), (folder / "events.parquet").read_bytes()


def url_file(file: Path, uri: str) -> Path:
    file.write_text(uri.replace("postgresql://", "postgresql+psycopg://") + "\n")
    return file


def test_five_places_give_the_same_bytes(mimic_demo: Path, postgres: str, tmp_path: Path) -> None:
    csv = to_csv(mimic_demo, MIMIC3, tmp_path / "csv")
    database = to_duckdb(csv, MIMIC3, tmp_path / "demo.duckdb")
    to_postgres(database, MIMIC3, postgres, "mimiciii")
    places = {
        "csv": csv,
        "duckdb": database,
        "parquet": to_parquet(database, MIMIC3, tmp_path / "parquet"),
        "parquet in two": to_parquet(database, MIMIC3, tmp_path / "two", in_two=True),
        "postgres": url_file(tmp_path / "demo.url", postgres),
        "duckdb by url": url_file(tmp_path / "duckdb.url", f"duckdb:///{database}"),
    }
    expected = extracted(mimic_demo, tmp_path / "csv.gz")
    assert [name for name, raw in places.items() if extracted(raw, tmp_path / name) != expected] == []
