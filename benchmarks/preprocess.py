"""From events to the model input of a fold: ours compared with one pandas DataFrame per stay.

The steps are grid, mask, filled gaps, winsorising and scaling.

python benchmarks/preprocess.py                             # both to 8,000, ours to 50,000 stays
python benchmarks/preprocess.py --ours 16000 50000 200000   # 2.5 GB of memory, 2 GB of disk

A generated stay has 108 vital signs and 36 laboratory values in 48 hours, so 50,000 stays have 5.4
and 1.8 million rows. Four of five stays are used for fitting, and all are transformed. Every run is
its own process, on files that have just been read. The peak memory is ru_maxrss, next to that of
the imports.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from icu_adversarial.core.io import read_array, write_parts
from icu_adversarial.core.schemas import EVENTS, measurement_column, read_batches, write_batches
from icu_adversarial.features.grid import grids
from icu_adversarial.features.scaling import fit_scaler
from icu_adversarial.measurements import SETS

NAMES = SETS["literature"]
M = len(NAMES)
HOURS = range(48)
INTIME = pd.Timestamp("2000-01-01")
VITALS, LABS = 108, 36  # values per stay
FASTER, PEAK_MB, DIFFERENCE, GROWTH = 60, 1500, 1e-5, 4.5  # the bars


def generate(folder: Path, stays: int) -> None:
    """Write stays.parquet and events.parquet as the stage extract does.

    One of fifty stays has no events of half of the measurements.
    """

    def batches(size: int = 5000) -> Iterator[pa.RecordBatch]:
        rng = np.random.default_rng(0)
        for first in range(0, stays, size):
            n = min(size, stays - first)
            stay = np.repeat(np.arange(first, first + n), VITALS + LABS)
            column = np.concatenate(
                [rng.integers(13, M, (n, VITALS)), rng.integers(0, 13, (n, LABS))], axis=1
            ).ravel()
            column[(stay % 50 == 0) & (column % 2 == 0)] = M - 2
            hour = rng.integers(0, 48 * 60, len(stay)).astype(np.float32) / np.float32(60)
            value = (
                50 + 5 * column + rng.normal(0, 10, len(stay)) + rng.normal(0, 10, stays)[stay]
            ).astype(np.float32)
            order = np.lexsort((value, np.argsort(np.argsort(NAMES))[column], hour, stay))
            columns = [
                pa.array(stay[order]),
                pa.array(hour[order]),
                measurement_column(column[order], NAMES),
                pa.array(value[order]),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=EVENTS)

    folder.mkdir()
    write_batches(folder / "events.parquet", batches(), EVENTS)
    pd.DataFrame({"stay_id": np.arange(stays)}).to_parquet(folder / "stays.parquet")


def ours(folder: Path) -> np.ndarray:
    """As the stages do, with grid.npy on disk."""
    stay_id = pd.read_parquet(folder / "stays.parquet")["stay_id"].to_numpy()
    parts = grids(read_batches(folder / "events.parquet", EVENTS), stay_id, HOURS, NAMES)
    write_parts(folder / "grid.npy", (grid for _, grid in parts), (len(HOURS), M))
    grid = read_array(folder / "grid.npy")
    options = {
        "interpolation": "linear",
        "limit_direction": "both",
        "lower_percentile": 5,
        "upper_percentile": 95,
    }
    options["extra_channels"] = ("observed",)
    return fit_scaler(grid[stay_id % 5 > 0], NAMES, **options).apply(grid)


def pandas_per_stay(folder: Path) -> np.ndarray:
    """One table with a column per measurement for all events, then one DataFrame per stay.

    Each DataFrame is resampled, interpolated, filled, limited and scaled.
    """
    events = pd.read_parquet(folder / "events.parquet")
    stay_id = pd.read_parquet(folder / "stays.parquet")["stay_id"].to_numpy()
    wide = np.full((len(events), M), np.nan)
    wide[np.arange(len(events)), pd.Index(NAMES).get_indexer(events["measurement"].astype(str))] = (
        events["value"]
    )
    table = pd.DataFrame(
        wide, index=INTIME + pd.to_timedelta(events["hour"], unit="h"), columns=NAMES
    )
    starts = np.searchsorted(events["stay_id"], [*stay_id, stay_id[-1] + 1])
    index = pd.date_range(INTIME, periods=len(HOURS), freq="h")
    hourly = [table.iloc[a:b].resample("h").mean().reindex(index) for a, b in pairwise(starts)]
    numbers = pd.concat(
        [frame for stay, frame in zip(stay_id, hourly, strict=True) if stay % 5]
    ).quantile([0.05, 0.5, 0.95])
    low, median, high = (numbers.loc[q] for q in (0.05, 0.5, 0.95))
    x = np.empty((len(stay_id), len(HOURS), 2 * M), np.float32)
    for i, frame in enumerate(hourly):
        filled = frame.interpolate(method="linear", limit_direction="both").fillna(median)
        x[i, :, :M] = (filled.clip(low, high, axis=1) - low) / (high - low)
        x[i, :, M:] = frame.notna()
    return x


SIDES = {"ours": ours, "pandas": pandas_per_stay}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def run(side: str, folder: Path, keep: bool) -> tuple[float, float, float]:
    """Seconds, peak memory and that of the imports in MB.

    The result is written to the folder if it has to be compared.
    """
    imports = peak_mb()
    start = time.perf_counter()
    x = SIDES[side](folder)
    seconds, peak = time.perf_counter() - start, peak_mb()
    if keep:
        np.save(folder / f"{side}.npy", x)
    return seconds, peak, imports


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[2000, 4000, 8000], help="numbers of stays for both"
    )
    parser.add_argument(
        "--ours", type=int, nargs="*", default=[16000, 50000], help="numbers of stays for ours only"
    )
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    cases = [(stays, side) for stays in arguments.sizes for side in SIDES] + [
        (stays, "ours") for stays in arguments.ours
    ]
    runs: dict[tuple[int, str], list[tuple[float, float, float]]] = {case: [] for case in cases}
    with (
        tempfile.TemporaryDirectory() as name,
        get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        folders = {stays: Path(name, str(stays)) for stays, _ in cases}
        for stays, folder in folders.items():
            pool.apply(generate, (folder, stays))
        for _ in range(arguments.repeats):
            for stays, side in cases:
                runs[stays, side].append(
                    pool.apply(run, (side, folders[stays], stays in arguments.sizes))
                )
        results = [
            [np.load(folders[stays] / f"{side}.npy", mmap_mode="r") for side in SIDES]
            for stays in arguments.sizes
        ]
        difference = max(np.abs(one - other).max() for one, other in results)

    seconds = {case: statistics.median(r[0] for r in found) for case, found in runs.items()}
    print(
        f"medians of {arguments.repeats} interleaved runs; largest peak memory, and of the imports alone"
    )
    print(f"{'stays':>9} {'':>7} {'seconds':>9} {'ms per stay':>12} {'peak MB':>9} {'imports':>9}")
    for (stays, side), found in runs.items():
        peak, imports = (max(r[i] for r in found) for i in (1, 2))
        print(
            f"{stays:>9,} {side:>7} {seconds[stays, side]:>9.2f} {1e3 * seconds[stays, side] / stays:>12.4f} {peak:>9.0f} {imports:>9.0f}"
        )
    slowest = max(arguments.sizes)
    per_stay = seconds[slowest, "pandas"] / slowest
    for stays in folders:
        pandas_seconds = seconds.get((stays, "pandas"), per_stay * stays)
        told = (
            ""
            if stays in arguments.sizes
            else f", pandas taken as {1e3 * per_stay:.2f} ms per stay"
        )
        print(
            f"{stays:,} stays: {pandas_seconds / seconds[stays, 'ours']:.0f} x (bar: {FASTER} x{told})"
        )
    print(f"largest difference: {difference:.1e} (bar: {DIFFERENCE:.0e})")
    if {4000, 16000} <= set(folders):
        print(
            f"time(16,000) / time(4,000): {seconds[16000, 'ours'] / seconds[4000, 'ours']:.2f} (bar: {GROWTH})"
        )
    if 50000 in folders:
        print(
            f"peak memory at 50,000 stays: {max(r[1] for r in runs[50000, 'ours']):.0f} MB (bar: {PEAK_MB} MB)"
        )


if __name__ == "__main__":
    main()
