"""The cost of an attack: ours compared with adv-lib's, in CPU time and passes.

All attacks use the same nn.LSTM and autograd and one thread, in interleaved runs.

make peers               # the environment of adv-lib, once (peers.txt)
.peers/bin/python benchmarks/attack_speed.py CHALLENGE_FOLDER --work FOLDER
.peers/bin/python benchmarks/attack_speed.py CHALLENGE_FOLDER --stays 64 --repeats 1 --skip-prior

With the FOLDER of attack_quality.py, no network is trained again. The bars of time apply to our
attacks with one start, `fast`. attack_quality.py measures what these find. `pipeline` has the
number of starts of params.yaml. Our attacks get up to 256 stays in one call, as in the pipeline.
The others get 128. A pass is one sample forward and backward. l0 also has many forward passes,
which the table counts.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in src/run.py, before torch is imported

import joblib
import pandas as pd
import torch
from attack_peers import INPUTS, OURS, Checked, Method, adv_lib, chunks, peer, run, tuned_prior
from attack_tables import PeerError, all_flip, check_result, print_tables
from attack_victims import RECIPES, Group, choose, groups, predictions, train, workplace

from icu_adversarial.attack import api as problem
from icu_adversarial.core.parallel import prepare_worker, workers

TASK = 256  # stays of one fold in one call, as in attack.loop
SIZES = (16, 32, 64, 128, 256)  # of a pass, and of a call
TIMED = OURS | {
    "FAB-L1 (50)": Method("adv-lib", "50 iterations", peer(adv_lib("fab", norm=1, n_iter=50))),
    "FAB-L1 (20)": Method("adv-lib", "20 iterations", peer(adv_lib("fab", norm=1, n_iter=20))),
    "sigma-zero (100)": Method("adv-lib", "100 steps", peer(adv_lib("sigma_zero", num_steps=100))),
    "VFGA": Method("adv-lib", "10 samples", peer(adv_lib("vfga", targeted=False), numbered=True)),
}
BARS = (
    ("l1 fast", "FAB-L1 (50)", 0.20),
    ("l1 fast", "FAB-L1 (20)", 0.65),
    ("l0 fast", "sigma-zero (100)", 0.25),
    ("l0 fast", "VFGA", 0.70),
)
FAST, PIPELINE = ("l1 fast", "l0 fast"), ("l1 pipeline", "l0 pipeline")
PASSES, FEWER_PASSES, FEWER_CELLS, FLAT, SPEED_UP = 20, 60, 0.6, 1.15, 1.8


def attack_all(method: Method, stays: Iterable[Group]) -> tuple[float, list[Checked]]:
    """The CPU seconds and the results."""
    stays = list(stays)
    begin = time.process_time()
    found = [run(method, group) for group in stays]
    return time.process_time() - begin, found


def frame(found: list[Checked]) -> pd.DataFrame:
    """One row per stay, in the order of the calls."""
    return pd.concat([pd.DataFrame(result._asdict()) for result in found], ignore_index=True)


def compared_with_peers(stays: list[Group], repeats: int) -> dict[str, pd.DataFrame]:
    """Print times and ratios of the medians. Returns the results of each method, by stay."""
    n = sum(len(group.y) for group in stays)
    times: dict[str, list[float]] = {name: [] for name in TIMED}
    found: dict[str, list[Checked]] = {}
    failed: dict[str, str] = {}
    for _ in range(repeats):
        for name, method in TIMED.items():
            if name in failed:
                continue
            try:
                seconds, found[name] = attack_all(
                    method, chunks(stays, TASK if name in OURS else INPUTS)
                )
                check_result(frame(found[name]))
                times[name].append(seconds)
            except PeerError as error:
                failed[name] = str(error)
    results = {name: frame(parts) for name, parts in found.items() if name not in failed}
    about = {
        name: {"ms per stay": f"{1e3 * statistics.median(times[name]) / n:.2f}"} for name in results
    }
    print_tables(results, about, failed)
    for name, other, most in BARS:
        if other in results:
            pairs = zip(times[name], times[other], strict=True)
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"time {name} / {other}: {ratio:.2f} (bar: at most {most})")
    passes = results["l1 fast"]["backwards"].mean()
    print(f"passes of l1 fast per stay: {passes:.1f} (bar: at most {PASSES})")
    return results


def compared_with_prior(
    stays: list[Group], method: Method, results: dict[str, pd.DataFrame]
) -> None:
    """Print the passes and cells of our attacks and of prior.

    Cells are those of the stays that both flip.
    """
    theirs = frame(attack_all(method, chunks(stays, INPUTS))[1])
    print(f"prior: {method.settings}")
    print_tables({"prior": theirs}, {}, {})
    for name in OURS:
        passes = theirs["backwards"].mean() / results[name]["backwards"].mean()
        cells, both = cells_where_both_flip(results[name], theirs)
        print(
            f"prior / {name}: {passes:.0f} x the passes backward (bar: at least {FEWER_PASSES}), "
            f"{name} / prior: {cells:.2f} x the cells of the {both} stays that both flip "
            f"(bar: at most {FEWER_CELLS})"
        )


def cells_where_both_flip(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[float, int]:
    """The ratio of the mean numbers of cells over the stays that both flip, and their number."""
    both = all_flip({"ours": ours, "theirs": theirs})
    return float(ours.loc[both, "l0"].mean() / theirs.loc[both, "l0"].mean()), len(both)


def by_size(stays: list[Group], repeats: int) -> None:
    """Print the cost per stay by rows of a pass, by stays of a call, and by number of stays.

    All calls of a size are full.
    """
    most = min(len(group.y) for group in stays)
    sizes = [size for size in SIZES if size <= most] or [most]
    stays = [group.rows(slice(sizes[-1])) for group in stays]
    n = sum(len(group.y) for group in stays)
    usual = problem.ROWS, problem.GPU_ROWS
    for name in FAST:
        rows, calls = ({size: [] for size in sizes} for _ in range(2))
        for _ in range(repeats):
            for size in sizes:
                calls[size].append(attack_all(OURS[name], chunks(stays, size))[0])
                problem.ROWS = problem.GPU_ROWS = size
                rows[size].append(attack_all(OURS[name], chunks(stays, TASK))[0])
                problem.ROWS, problem.GPU_ROWS = usual
        for what, times in (("rows in one pass", rows), ("stays in one call", calls)):
            cost = {size: 1e3 * statistics.median(seconds) / n for size, seconds in times.items()}
            print(
                f"{name}, ms per stay by {what}: "
                + ", ".join(f"{size}: {ms:.2f}" for size, ms in cost.items()),
                end=" ",
            )
            large = [ms for size, ms in cost.items() if size >= 64]
            print(
                f"(64 and more: largest / smallest {max(large) / min(large):.2f}; bar: {FLAT})"
                if large
                else ""
            )
        total = {
            part: attack_all(
                OURS[name],
                chunks([group.rows(slice(0, len(group.y) // part)) for group in stays], TASK),
            )[0]
            for part in (4, 2, 1)
        }
        print(
            f"{name}, ms per stay by number of stays: "
            + ", ".join(f"{n // part}: {1e3 * part * s / n:.2f}" for part, s in total.items())
        )


def two_processes(stays: list[Group], repeats: int) -> None:
    """Compare the wall time of two tasks in one worker and in two workers.

    The tasks are those of the two folds.
    """
    halves = [group.rows(slice(TASK)) for group in stays]
    job = joblib.delayed(run_in_worker)
    with workers() as parallel:
        if parallel._effective_n_jobs() < 2:
            print("two processes: one core only, left out")
            return
        parallel(job(half) for half in halves)  # starts the workers and imports torch
        ratios = []
        for _ in range(repeats):
            clock = time.perf_counter()
            for half in halves:
                parallel([job(half)])
            one, clock = time.perf_counter() - clock, time.perf_counter()
            parallel(job(half) for half in halves)
            ratios.append(one / (time.perf_counter() - clock))
    print(f"two processes: {statistics.median(ratios):.2f} x one (bar: at least {SPEED_UP})")


def run_in_worker(group: Group) -> float:
    prepare_worker()
    return sum(float(run(OURS[name], group).l1.sum()) for name in PIPELINE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "raw", type=Path, help="folder with set-a.tar.gz, set-b.tar.gz and their Outcomes"
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="for networks and the hyperparameters of prior; a temporary folder by default",
    )
    parser.add_argument("--stays", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--victims", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument(
        "--skip-prior", action="store_true", help="its 1,000 iterations take longest"
    )
    arguments = parser.parse_args()
    prepare_worker()
    torch.backends.cudnn.allow_tf32 = False  # TF32 has 10 bits, which are too few for a margin
    with workplace(arguments.raw, arguments.work) as params:
        for name in arguments.victims:
            models = train(name, params)
            predicted = predictions(models)
            chosen, tuning = choose(predicted, arguments.stays)
            stays = list(groups(models, predicted, chosen))
            print(f"\n{name}: {len(chosen)} stays, medians of {arguments.repeats} interleaved runs")
            found = compared_with_peers(stays, arguments.repeats)
            if not arguments.skip_prior:
                file = Path("results", name, "prior.json")
                file.parent.mkdir(parents=True, exist_ok=True)
                compared_with_prior(
                    stays, tuned_prior(file, groups(models, predicted, tuning)), found
                )
            by_size(
                list(groups(models, predicted, choose(predicted, 5 * arguments.stays // 4)[0])),
                arguments.repeats,
            )
            two_processes(stays, arguments.repeats)


if __name__ == "__main__":
    main()
