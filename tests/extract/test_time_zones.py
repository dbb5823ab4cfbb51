"""Hours do not depend on the time zone of the machine, whatever types the raw tables have."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from places import MIMIC3

ROOT = Path(__file__).parents[2]
# One stay across the change to daylight saving time in New York, on 9 March 2110 at 02:00.
ROWS = {
    "patients": "1, 1, 'F', {t:2050-01-01 00:00:00}, NULL, NULL, NULL, 0",
    "admissions": "1, 1, 10, {t:2110-03-08 08:00:00}, {t:2110-03-19 10:00:00}, NULL, NULL, NULL, "
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 1",
    "icustays": "1, 1, 10, 100, 'carevue', 'MICU', 'MICU', 1, 1, {t:2110-03-08 22:00:00}, "
    "{t:2110-03-12 22:00:00}, 4",
    "chartevents": "1, 1, 10, 100, 211, {t:2110-03-09 07:30:00}, NULL, 1, '80', 80, NULL, 0, 0, "
    "NULL, NULL",
    "labevents": "1, 1, 10, 50971, {t:2110-03-10 01:00:00}, '4', 4.0, NULL, NULL",
}
HOURS = {"heartrate": 9.5, "potassium": 27.0}
EXTRACT = """
import sys
from pathlib import Path
import pyarrow as pa
from literature_set import MEASUREMENTS
from icu_adversarial.extract.sources import mimic3
from icu_adversarial.core.schemas import EVENTS, STAYS, to_table
for raw in sys.argv[1:]:
    stays, events, *_ = mimic3.read(Path(raw), 48, MEASUREMENTS)
    print(to_table(stays, STAYS).to_pylist(), pa.Table.from_batches(events, EVENTS).to_pylist())
"""


def tables(types: str, literal: str) -> dict[str, tuple[str, str]]:
    """Name → columns and row, with times of the type and as the literal given ({} is the time)."""
    result = {}
    for name, row in ROWS.items():
        parts = row.split("{t:")
        times = [literal.replace("{}", part.partition("}")[0]) for part in parts[1:]]
        rest = [part.partition("}")[2] for part in parts[1:]]
        filled = parts[0] + "".join(t + r for t, r in zip(times, rest, strict=True))
        result[name] = MIMIC3[name].replace("timestamp(0)", types), filled
    return result


def write(place: Path, types: str, literal: str) -> Path:
    """A DuckDB file, or a folder of Parquet or CSV, by the name of `place`."""
    database = place if place.suffix == ".duckdb" else place.with_suffix(".tmp")
    with duckdb.connect(database) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, (columns, row) in tables(types, literal).items():
            connection.execute(f"CREATE TABLE {name} ({columns})")
            connection.execute(f"INSERT INTO {name} VALUES ({row})")
            if database != place:
                place.mkdir(exist_ok=True)
                suffix = place.name.partition("_")[0]
                connection.execute(f"COPY {name} TO '{place / name}.{suffix}'")
    return place


def extracted(places: list[Path], time_zone: str) -> list[str]:
    """Stays and events of each place as a line, read by a process in this time zone."""
    done = subprocess.run(
        [sys.executable, "-c", EXTRACT, *map(str, places)],
        env=os.environ | {"TZ": time_zone, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


FORMS = {
    "parquet_naive": ("timestamp", "'{}'"),
    "parquet_zoned": ("timestamptz", "'{}+00'"),
    "naive.duckdb": ("timestamp", "'{}'"),
    "zoned.duckdb": ("timestamptz", "'{}+00'"),
    "csv_naive": ("varchar", "'{}'"),
    "csv_utc": ("varchar", "'{} UTC'"),
    "csv_z": ("varchar", "strftime('{}'::timestamp, '%Y-%m-%dT%H:%M:%SZ')"),
    "csv_east": ("varchar", "strftime('{}'::timestamp + INTERVAL 2 HOUR, '%Y-%m-%d %H:%M:%S+02')"),
    "csv_east_without_seconds": (
        "varchar",
        "strftime('{}'::timestamp + INTERVAL 2 HOUR, '%Y-%m-%d %H:%M+02')",
    ),
    "text.duckdb": (
        "varchar",
        "strftime('{}'::timestamp - INTERVAL 5 HOUR, '%Y-%m-%d %H:%M:%S-05:00')",
    ),
}


@pytest.mark.parametrize("time_zone", ["UTC", "America/New_York"])
def test_the_same_hours_in_every_time_zone(time_zone: str, tmp_path: Path) -> None:
    places = [write(tmp_path / form, *how) for form, how in FORMS.items()]
    for form, found in zip(FORMS, extracted(places, time_zone), strict=True):
        for name, hour in HOURS.items():
            assert f"'hour': {hour}, 'measurement': '{name}'" in found, form
        assert "'admit_hour': -14.0, 'discharge_hour': 252.0, 'out_hour': 96.0" in found, form
