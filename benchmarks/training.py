"""The cost of an epoch of training: ours compared with a DataLoader loop and with lower limits.

The limits are steps on one preloaded batch and the matrix products of this machine.

python benchmarks/training.py                 # 30,000 stays x 48 h x 19, BiLSTM-128, batch 128
python benchmarks/training.py --stays 200000  # the cost per stay is the same
python benchmarks/training.py --processes     # two folds in two workers and in one

All runs use one thread, except those with --processes.
"""

import argparse
import os
import statistics
import sys
import time
from multiprocessing import get_context
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in src/run.py, before torch is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import joblib
import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from icu_adversarial.config.params import load_params
from icu_adversarial.core.parallel import prepare_worker, workers
from icu_adversarial.model.fold_data import Fold
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.state import TrainingState
from icu_adversarial.model.training import advance, start

T, M, BATCH = 48, 19, 128
MODEL = load_params(
    Path(__file__).parents[1] / "params.yaml"
).literature.model  # LSTM-128, only the values, batches of 128


def make_data(stays: int) -> Fold:
    rng = np.random.default_rng(0)
    x = rng.random((stays, T, M), dtype=np.float32)
    y = (rng.random(stays) < 0.12).astype(np.int64)
    return Fold(x, y, x[:256], y[:256])  # few stays to evaluate on, so that the training is timed


def dataloader_epoch(data: Fold) -> None:
    """The loop of many projects.

    It has a sampler, a collate function with one stay at a time, padding and packing, and the
    memory handling of torch. All others keep freed memory (parallel.prepare_worker).
    """
    dataset = TensorDataset(torch.from_numpy(data.x_train), torch.from_numpy(data.y_train))
    weight = 1.0 / torch.bincount(dataset.tensors[1], minlength=2)[dataset.tensors[1]]

    def collate(
        samples: list[tuple[torch.Tensor, torch.Tensor]],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = torch.nn.utils.rnn.pad_sequence([s[0] for s in samples], batch_first=True)
        return x, torch.tensor([len(s[0]) for s in samples]), torch.stack([s[1] for s in samples])

    loader = DataLoader(
        dataset,
        batch_size=BATCH,
        sampler=WeightedRandomSampler(weight, len(weight)),
        collate_fn=collate,
    )
    network = build(M, 0, MODEL)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for x, lengths, y in loader:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, (last, _) = network.lstm(packed)
        pad_packed_sequence(out, batch_first=True)
        loss = cross_entropy(network.output(network.hidden(torch.cat([last[0], last[1]], 1))), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bare_steps(data: Fold) -> None:
    """Forward, backward and step on one batch, as many times as an epoch has batches."""
    x, y = torch.from_numpy(data.x_train[:BATCH]), torch.from_numpy(data.y_train[:BATCH])
    network = build(M, 0, MODEL)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(-(-len(data.x_train) // BATCH)):
        loss = cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def our_epoch(data: Fold) -> None:
    """One epoch, with `start`, which a training does once."""
    advance(start(data, MODEL, seed=0), data, MODEL, epochs=1, of=1, seed=0)


def products(data: Fold, n: int = 128) -> None:
    """Matrix products with the shape of the recurrence, (128, n) x (n, 4 n).

    They have as many multiply-adds as an epoch.
    """
    a, b = torch.rand(BATCH, n), torch.rand(n, 4 * n)
    for _ in range(round(epoch_products(len(data.x_train), n) / (BATCH * n * 4 * n))):
        a @ b


def epoch_products(stays: int, n: int = 128) -> float:
    """Multiply-adds of the matrix products of an epoch.

    They are those of input and recurrence in two directions, once forward and twice backward. The
    head is left out.
    """
    return stays * T * 2 * 3 * (M * 4 * n + n * 4 * n)


JOBS = {
    "DataLoader": dataloader_epoch,
    "ours": our_epoch,
    "bare steps": bare_steps,
    "products": products,
}


def measure(name: str, stays: int) -> float:
    """Seconds of one epoch, in its own process, because memory handling cannot be changed back."""
    torch.set_num_threads(1)
    data = make_data(stays)
    if name != "DataLoader":
        prepare_worker()
    clock = time.perf_counter()
    JOBS[name](data)
    return time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stays", type=int, default=30_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", action="store_true")
    arguments = parser.parse_args()
    if arguments.processes:
        data = make_data(arguments.stays)
        two_processes(data, start(data, MODEL, seed=0), arguments.repeats)
        return
    times: dict[str, list[float]] = {name: [] for name in JOBS}
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for _ in range(arguments.repeats):
            for name, values in times.items():
                values.append(pool.apply(measure, (name, arguments.stays)))
    print(
        f"{arguments.stays} stays, one epoch, one thread, medians of {arguments.repeats} interleaved runs"
    )
    for name, values in times.items():
        print(
            f"  {name:12s} {statistics.median(values):8.2f} s   {statistics.median(values) / arguments.stays * 1e6:7.1f} us per stay"
        )
    print(f"DataLoader / ours {ratio(times['DataLoader'], times['ours']):.2f} (bar: at least 1.5)")
    print(f"ours / bare steps {ratio(times['ours'], times['bare steps']):.2f} (bar: at most 1.1)")
    print(
        f"products / ours {ratio(times['products'], times['ours']):.2f}, the share of the matrix product's own rate (bar: at least 0.5)"
    )


def ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def two_processes(data: Fold, begin: TrainingState, repeats: int) -> None:
    """Two folds in one worker, then in two workers. The weights are the same."""
    job = joblib.delayed(advance)
    pairs, same = [], True
    with workers() as parallel:
        parallel(
            job(begin, data, MODEL, epochs=1, of=1, seed=s) for s in (0, 1)
        )  # starts the workers and imports torch
        for _ in range(repeats):
            clock = time.perf_counter()
            alone = [parallel([job(begin, data, MODEL, epochs=1, of=1, seed=s)])[0] for s in (0, 1)]
            one = time.perf_counter() - clock
            clock = time.perf_counter()
            both = parallel(job(begin, data, MODEL, epochs=1, of=1, seed=s) for s in (0, 1))
            pairs.append((one, time.perf_counter() - clock))
            same &= all(
                torch.equal(a.weights[k], b.weights[k])
                for a, b in zip(alone, both, strict=True)
                for k in a.weights
            )
    print(
        f"one worker {statistics.median(p[0] for p in pairs):.2f} s, two {statistics.median(p[1] for p in pairs):.2f} s for two folds"
    )
    print(
        f"speed-up {ratio(*map(list, zip(*pairs, strict=True))):.2f} (bar: at least 1.8), same weights: {same}"
    )


if __name__ == "__main__":
    main()
