"""The attack of Sun et al. 2018 (KDD): iterative soft thresholding until the first flip, for each of 25 penalties."""

import torch
from torch import Tensor

from icu_adversarial.attack.api import (
    Logits,
    Result,
    flipping,
    keep,
    margin_and_gradient,
    no_example,
    rows_at_once,
    without_dust,
)

STEP = 0.02
PENALTIES = torch.logspace(
    torch.log10(torch.tensor(5e-4)).item(), torch.log10(torch.tensor(1.5e-2)).item(), 25
).tolist()


def sun(
    logits_fn: Logits, x: Tensor, y: Tensor, *, lower: Tensor, upper: Tensor, iterations: int
) -> Result:
    """Plain gradient descent on max(Z_y - Z_t, 0) by STEP, then sign(P) * max(|P| - penalty, 0), then the box.

    See attack/problem.py for the arguments that all attacks share; `iterations` holds for each penalty, 100 in the paper. A run ends at its first
    flip. Of the runs of a sample, `first` flips after the fewest steps, `best` with the smallest L1 norm; the lower penalty of equals.
    """
    first, best = no_example(lower), no_example(lower)
    low, high = (bound - x[..., : lower.shape[2]] for bound in (lower, upper))
    best_l1 = torch.full_like(x[:, 0, 0], torch.inf)
    for penalty in PENALTIES:
        state = torch.zeros_like(low)
        steps, alive = torch.zeros_like(first.iteration), torch.ones_like(y, dtype=torch.bool)
        while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
            P = without_dust(state[rows])
            margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P)
            flips, norm = flipping(margin, P), P.abs().flatten(1).sum(1)
            fewer = (first.iteration[rows] < 0) | (steps[rows] < first.iteration[rows])
            better = flips & (norm < best_l1[rows])
            keep(first, P, steps[rows], rows, flips & fewer)
            keep(best, P, steps[rows], rows, better)
            best_l1[rows] = torch.where(better, norm, best_l1[rows])

            moved = state[rows] - STEP * gradient
            state[rows] = (moved.sign() * (moved.abs() - penalty).clamp(min=0)).clamp(
                low[rows], high[rows]
            )
            alive[rows] = ~flips & (steps[rows] < iterations)
            steps[rows] += 1
    return Result(first, best)
