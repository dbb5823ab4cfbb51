"""Extraction of PhysioNet Challenge 2012, compared with a simple loop with the csv module.

Both go from archive to Parquet and give the same events.

python benchmarks/challenge2012.py FOLDER     # has set-a.tar.gz, set-b.tar.gz and their Outcomes
"""

import argparse
import csv
import io
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from icu_adversarial.core.schemas import EVENTS, STAYS, write_batches, write_table
from icu_adversarial.extract.sources import challenge2012
from icu_adversarial.measurements import SETS, choose

MEASUREMENTS = choose(SETS["literature"])
WINDOW_HOURS = 48


def ours(raw: Path, out: Path) -> None:
    stays, events, *_ = challenge2012.read(raw, WINDOW_HOURS, MEASUREMENTS)
    write_batches(out / "events.parquet", events, EVENTS)
    write_table(out / "stays.parquet", stays, STAYS)


def csv_loop(raw: Path, out: Path) -> None:
    """One record after another, one row after another."""
    kept = {
        code: (m.name, entry.limits)
        for m in MEASUREMENTS
        for entry in m.challenge2012
        for code in entry.codes
    }
    rows = []
    for archive_file in sorted(raw.glob("set-*.tar.gz")):
        with tarfile.open(archive_file) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None or not member.name.endswith(".txt"):
                    continue
                stay = int(Path(member.name).stem)
                for row in csv.DictReader(io.TextIOWrapper(content)):
                    hours, minutes = row["Time"].split(":")
                    hour = int(hours) + int(minutes) / 60
                    if row["Parameter"] not in kept or hour >= WINDOW_HOURS:
                        continue
                    name, limits = kept[row["Parameter"]]
                    value = float(row["Value"])
                    if limits.above < value < limits.highest or (
                        limits.highest_counts and value == limits.highest
                    ):
                        rows.append((stay, hour, name, value))
    events = pd.DataFrame(sorted(rows), columns=["stay_id", "hour", "measurement", "value"])
    events.astype({"hour": "float32", "value": "float32", "measurement": "category"}).to_parquet(
        out / "events.parquet"
    )
    outcomes = [pd.read_csv(file) for file in sorted(raw.glob("Outcomes-*.txt"))]
    pd.concat(outcomes).to_parquet(out / "stays.parquet")


def timed(function: Callable[[Path, Path], None], raw: Path, out: Path) -> float:
    out.mkdir(exist_ok=True)
    start = time.perf_counter()
    function(raw, out)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fast, slow = Path(folder, "ours"), Path(folder, "loop")
        pairs = [
            (timed(ours, arguments.raw, fast), timed(csv_loop, arguments.raw, slow))
            for _ in range(arguments.repeats)
        ]
        columns = ["stay_id", "hour", "measurement", "value"]
        same = (
            pq.read_table(fast / "events.parquet").to_pandas()[columns].astype({"measurement": str})
        )
        same.equals(
            pq.read_table(slow / "events.parquet").to_pandas()[columns].astype({"measurement": str})
        ) or sys.exit("the events differ")
    ours_s, loop_s = zip(*pairs, strict=True)
    print(f"{len(same)} events, {arguments.repeats} interleaved runs, medians")
    print(
        f"ours {statistics.median(ours_s):.2f} s (bar: under 6 s), csv loop {statistics.median(loop_s):.2f} s"
    )
    print(f"csv loop / ours {statistics.median(b / a for a, b in pairs):.1f} (bar: at least 3)")


if __name__ == "__main__":
    main()
