"""The stage extract on generated MIMIC-III tables, compared with its lower limits.

For Parquet, the limit is a DuckDB query that filters and orders the same rows. For CSV.gz it is
`gzip -dc FILE > /dev/null`.

python benchmarks/extract.py    # 3.3 and 33 million rows of Parquet, 2 and 5 million of CSV.gz
python benchmarks/extract.py --rows 3300000 33000000 330000000 --csv-rows 5000000 20000000 \\
    --folder /a/disk/with/20/GB

CHARTEVENTS has the columns, the format and about the items of the official table. A fifth of its
rows are valid vital signs, a third of these in the first 48 hours. Every run is its own process, on
files that have just been read. The peak memory is ru_maxrss, next to that of the imports.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from icu_adversarial.config.params import load_params
from icu_adversarial.extract.sources import mimic3  # noqa: F401  (so that its import is not timed)
from icu_adversarial.stages import extract

ROWS_PER_STAY = 5363  # of CHARTEVENTS in MIMIC-III v1.4
SLOWER, SLOWER_THAN_GZIP, PEAK_MB, LINEAR = 1.3, 1.2, 2000, 1.1  # the bars
STAYS = "SELECT range AS stay, TIMESTAMP '2150-01-01 10:17:03' + to_hours(range * 7 % 100000) AS intime FROM range({stays})"
TABLES = {
    "PATIENTS": "SELECT stay AS subject_id, CASE WHEN stay % 2 = 0 THEN 'F' ELSE 'M' END AS gender, intime - INTERVAL 60 YEAR AS dob FROM stays",
    "ADMISSIONS": """
SELECT stay AS subject_id, 100000 + stay AS hadm_id, intime AS admittime, intime + INTERVAL 9 DAY AS dischtime, NULL :: TIMESTAMP AS deathtime, 0 AS hospital_expire_flag
FROM stays""",
    "ICUSTAYS": """
SELECT stay AS subject_id, 100000 + stay AS hadm_id, 200000 + stay AS icustay_id, 'metavision' AS dbsource, 'MICU' AS first_careunit,
       intime, intime + INTERVAL 6 DAY AS outtime
FROM stays""",
    "LABEVENTS": """
SELECT stay AS subject_id, 100000 + stay AS hadm_id, 50971 AS itemid, intime + to_hours(stay % 90) AS charttime, 4.1 :: DOUBLE AS valuenum,
       'mEq/L' AS valueuom
FROM stays""",
    # h: random bits of the row; the rows of a stay are together, 200 at a time
    "CHARTEVENTS": """
SELECT i AS "ROW_ID", stay AS "SUBJECT_ID", 100000 + stay AS "HADM_ID", 200000 + stay AS "ICUSTAY_ID",
       CASE WHEN h % 5 = 0 THEN [220045, 220179, 220180, 220210, 220277, 223761][1 + h // 5 % 6] ELSE 225000 + h // 5 % 700 END AS "ITEMID",
       intime + to_minutes(h // 4000 % 8640) AS "CHARTTIME", intime + to_minutes(h // 4000 % 8640 + 31) AS "STORETIME",
       17000 + h // 70 % 3000 AS "CGID", CAST(h // 9 % 1500 / 10 AS VARCHAR) AS "VALUE", h // 9 % 1500 / 10 AS "VALUENUM",
       ['bpm', 'mmHg', 'mmHg', 'insp/min', '%', '?F'][1 + h // 5 % 6] AS "VALUEUOM", 0 AS "WARNING",
       CAST(h % 997 = 0 AS INTEGER) AS "ERROR", NULL :: VARCHAR AS "RESULTSTATUS", NULL :: VARCHAR AS "STOPPED"
FROM (SELECT range AS i, range // 200 * 7919 % {stays} AS stay, CAST(hash(range) >> 8 AS BIGINT) AS h FROM range({rows})) JOIN stays USING (stay)""",
}
BARE = """
SELECT s.icustay_id, CAST(EXTRACT(EPOCH FROM (e.charttime - s.intime)) / 3600 AS REAL) AS hour, e.itemid, CAST(e.valuenum AS REAL) AS value
FROM (
  SELECT subject_id, hadm_id, icustay_id, itemid, charttime, valuenum FROM 'CHARTEVENTS.parquet'
  WHERE itemid IN (220045, 220179, 220180, 220210, 220277, 223761) AND error IS DISTINCT FROM 1
  UNION ALL
  SELECT subject_id, hadm_id, NULL, itemid, charttime, valuenum FROM 'LABEVENTS.parquet' WHERE itemid = 50971
) e JOIN 'ICUSTAYS.parquet' s ON s.subject_id = e.subject_id
WHERE e.charttime >= s.intime AND e.charttime < s.intime + INTERVAL 48 HOUR AND e.hadm_id = s.hadm_id
  AND (e.icustay_id IS NULL OR e.icustay_id = s.icustay_id) AND e.valuenum > CASE e.itemid WHEN 223761 THEN 70 ELSE 0 END
  AND (e.valuenum < CASE e.itemid WHEN 220179 THEN 400 WHEN 220210 THEN 70 WHEN 220277 THEN 100 WHEN 223761 THEN 120 ELSE 300 END
       OR e.itemid = 220277 AND e.valuenum = 100)
ORDER BY ALL
"""


def generate(raw: Path, rows: int, form: str) -> None:
    """Write all five tables as Parquet, or CHARTEVENTS as CSV.gz if `form` is csv.gz."""
    raw.mkdir()
    stays = max(rows // ROWS_PER_STAY, 1)
    with (
        chdir(raw),
        duckdb.connect(
            config={"memory_limit": "4GB", "preserve_insertion_order": False}
        ) as connection,
    ):
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"CREATE TABLE stays AS {STAYS.format(stays=stays)}")
        for name, select in TABLES.items():
            query = select.format(stays=stays, rows=rows)
            if form == "parquet" or name != "CHARTEVENTS":
                connection.execute(f"COPY ({query}) TO '{name}.parquet'")
                continue
            texts = '"VALUE", "VALUEUOM", "RESULTSTATUS", "STOPPED"'  # as in the official file
            connection.execute(
                f"COPY ({query}) TO 'rows.csv' (HEADER false, FORCE_QUOTE ({texts}))"
            )
            header = ",".join(
                f'"{column[0]}"' for column in connection.sql(f"DESCRIBE {query}").fetchall()
            )
            Path("header.csv").write_text(header + "\n")
            subprocess.run(
                "cat header.csv rows.csv | gzip > CHARTEVENTS.csv.gz && rm header.csv rows.csv",
                shell=True,
                check=True,
            )


def ours(raw: Path) -> int:
    """Run the stage extract in an empty folder. Returns the number of events."""
    params = load_params(Path(__file__).parents[1] / "params.yaml")
    source = params.extract.model_copy(update={"source": "mimiciii", "raw": raw})
    with tempfile.TemporaryDirectory(dir=raw.parent) as folder, chdir(folder):
        extract.run(params.model_copy(update={"extract": source, "window_hours": 48}))
        return json.loads(Path("metrics/extract/metrics.json").read_text())["events"]


def bare(raw: Path) -> int:
    with chdir(raw), duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        return sum(map(len, connection.sql(BARE).to_arrow_reader(1 << 18)))


def gzip(raw: Path) -> int:
    return subprocess.run(
        ["gzip", "-dc", raw / "CHARTEVENTS.csv.gz"], stdout=subprocess.DEVNULL, check=True
    ).returncode


SIDES = {"parquet": {"ours": ours, "bare query": bare}, "csv.gz": {"ours": ours, "gzip -dc": gzip}}


def run(form: str, side: str, raw: Path) -> tuple[float, float, float, int]:
    """Seconds, peak memory and that of the imports in MB, and the number of events."""
    imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    start = time.perf_counter()
    events = SIDES[form][side](raw)
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
        "--rows", type=int, nargs="*", default=[3_300_000, 33_000_000], help="chart rows as Parquet"
    )
    parser.add_argument(
        "--csv-rows",
        type=int,
        nargs="*",
        default=[2_000_000, 5_000_000],
        help="chart rows as CSV.gz",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="for the generated tables: 24 bytes per row of Parquet, 115 of CSV.gz (15 afterwards)",
    )
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sizes = {"parquet": arguments.rows, "csv.gz": arguments.csv_rows}
    runs: dict[tuple[str, int, str], list[tuple[float, float, float, int]]] = {
        (form, rows, side): [] for form in SIDES for rows in sizes[form] for side in SIDES[form]
    }
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as name,
        get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        raws = {(form, rows): Path(name, f"{rows} {form}") for form, rows, _ in runs}
        for (form, rows), raw in raws.items():
            pool.apply(generate, (raw, rows, form))
        for _ in range(arguments.repeats):
            for (form, rows, side), found in runs.items():
                found.append(pool.apply(run, (form, side, raws[form, rows])))

    print(
        f"medians of {arguments.repeats} interleaved runs; largest peak memory, and of the imports alone"
    )
    print(
        f"{'form':>8} {'rows':>12} {'':>11} {'seconds':>9} {'s per M rows':>13} {'peak MB':>9} {'imports':>9} {'events':>12}"
    )
    seconds = {case: statistics.median(r[0] for r in found) for case, found in runs.items()}
    for (form, rows, side), found in runs.items():
        peak, imports = (max(r[i] for r in found) for i in (1, 2))
        per_million = 1e6 * seconds[form, rows, side] / rows
        own = (
            f"{peak:>9.0f} {imports:>9.0f} {found[0][3]:>12,}" if side != "gzip -dc" else ""
        )  # this is another process, which counts no events
        print(
            f"{form:>8} {rows:>12,} {side:>11} {seconds[form, rows, side]:>9.2f} {per_million:>13.4f} {own}"
        )
    for form, rows in raws:
        floor = next(side for side in SIDES[form] if side != "ours")
        if form == "parquet" and runs[form, rows, "ours"][0][3] != runs[form, rows, floor][0][3]:
            sys.exit(f"{rows:,} rows: the bare query finds other events")
        ratio = statistics.median(
            a[0] / b[0]
            for a, b in zip(runs[form, rows, "ours"], runs[form, rows, floor], strict=True)
        )
        print(
            f"{form}, {rows:,} rows: ours / {floor} {ratio:.2f} (bar: {SLOWER if form == 'parquet' else SLOWER_THAN_GZIP})"
        )
    for form in SIDES:
        for few, many in pairwise(sizes[form]):
            growth = seconds[form, many, "ours"] / seconds[form, few, "ours"]
            print(
                f"{form}: {many / few:.1f} times the rows take {growth:.1f} times as long (bar: {LINEAR * many / few:.1f})"
            )
    print(
        f"largest peak memory of ours: {max(r[1] for case, found in runs.items() if case[2] == 'ours' for r in found):.0f} MB (bar: {PEAK_MB} MB)"
    )


if __name__ == "__main__":
    main()
