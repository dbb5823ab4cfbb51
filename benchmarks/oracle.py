"""Time of the margin and its input gradient: ours compared with autograd through nn.LSTM.

python benchmarks/oracle.py

One thread, interleaved runs, medians of CPU time. The network is an LSTM-128 on 48 × 19 values with
random weights, because the time does not depend on them. Autograd runs once in a process with the
defaults of torch, and once in a process that keeps freed memory, as all our workers do
(parallel.prepare_worker). Ours runs in the second process.
"""

import os
import statistics
import sys
import time
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in src/run.py, before torch is imported
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch
from torch import Tensor

from icu_adversarial.attack.api import margin_and_gradient
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.config.params import load_params
from icu_adversarial.core.parallel import prepare_worker
from icu_adversarial.model.networks.registry import build

T, M, PASSES, REPEATS = 48, 19, 5, 9
BAR = 0.65  # at batch 128


def measure(ours: bool, prepared: bool, batch: int) -> tuple[float, Tensor, Tensor]:
    """Milliseconds per stay for margin and gradient."""
    torch.set_num_threads(1)
    if prepared:
        prepare_worker()
    torch.manual_seed(0)
    network = build(
        M, 0, load_params(Path(__file__).parents[1] / "params.yaml").literature.model
    ).eval()
    logits = for_attack(network) if ours else network
    x, y = torch.rand(batch, T, M), torch.arange(batch) % 2
    P = torch.zeros(batch, T, M)
    found = margin_and_gradient(logits, x, y, P)
    clock = time.process_time()
    for _ in range(PASSES):
        margin_and_gradient(logits, x, y, P)
    return 1e3 * (time.process_time() - clock) / PASSES / batch, *found


def main() -> None:
    context = get_context("spawn")
    with context.Pool(1) as plain, context.Pool(1) as kept:
        for batch in (16, 32, 64, 128, 256):
            variants: dict[str, tuple[Pool, bool, bool]] = {
                "autograd": (plain, False, False),
                "kept": (kept, False, True),
                "ours": (kept, True, True),
            }
            times: dict[str, list[float]] = {name: [] for name in variants}
            found = {}
            for _ in range(REPEATS):
                for name, (pool, ours, prepared) in variants.items():
                    ms, *found[name] = pool.apply(measure, (ours, prepared, batch))
                    times[name].append(ms)
            ms = {name: statistics.median(values) for name, values in times.items()}
            error = max(
                float((a - b).abs().max() / b.abs().max())
                for a, b in zip(found["ours"], found["autograd"], strict=True)
            )
            print(
                f"batch {batch:3}: autograd {ms['autograd']:.3f} ms a stay, memory kept {ms['kept']:.3f}, ours {ms['ours']:.3f}:",
                end=" ",
            )
            print(
                f"{ms['ours'] / ms['autograd']:.2f} and {ms['ours'] / ms['kept']:.2f} x; largest relative difference {error:.1e}",
                end="",
            )
            print(f" (bar: {BAR})" if batch == 128 else "")


if __name__ == "__main__":
    main()
