"""The attack of Sun et al. 2018 (KDD): soft thresholding until the first flip, for 25 penalties."""

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.settings import SunSettings
from icu_adversarial.attack.api import (
    Logits,
    Result,
    flipping,
    keep,
    margin_and_gradient,
    no_example,
    rows_at_once,
    zero_small,
)

SETTINGS = SunSettings()


def sun(
    logits_fn: Logits,
    x: Tensor,
    y: Tensor,
    *,
    lower: Tensor,
    upper: Tensor,
    iterations: int,
    settings: SunSettings = SETTINGS,
) -> Result:
    """Lower max(Z_y - Z_t, 0) by gradient descent, with a soft threshold after each step.

    The threshold sign(P) * max(|P| - penalty, 0) is followed by the projection on the box. A run
    ends at its first flip.

    Args:
        logits_fn: The network; see `attack.api`.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        lower: The lowest allowed values, (B, T, M).
        upper: The highest allowed values, (B, T, M).
        iterations: Steps of the run of each penalty, at most; 100 in the paper.
        settings: The constants.

    Returns:
        Of the runs of a sample, the first example flips after the fewest steps and the best one
        has the smallest L1 norm. Of equal runs, the one with the lower penalty counts.
    """
    first, best = no_example(lower), no_example(lower)
    low, high = (bound - x[..., : lower.shape[2]] for bound in (lower, upper))
    best_l1 = torch.full_like(x[:, 0, 0], torch.inf)
    for penalty in settings.penalties():
        now = torch.zeros_like(low)
        steps, alive = torch.zeros_like(first.iteration), torch.ones_like(y, dtype=torch.bool)
        while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
            # look
            P = zero_small(now[rows])
            margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P)
            flips, norm = flipping(margin, P), P.abs().flatten(1).sum(1)

            # keep first and best
            fewer = (first.iteration[rows] < 0) | (steps[rows] < first.iteration[rows])
            better = flips & (norm < best_l1[rows])
            keep(first, P, steps[rows], rows, flips & fewer)
            keep(best, P, steps[rows], rows, better)
            best_l1[rows] = torch.where(better, norm, best_l1[rows])

            # step, threshold and clamp
            moved = now[rows] - settings.step * gradient
            shrunk = moved.sign() * (moved.abs() - penalty).clamp(min=0)
            now[rows] = shrunk.clamp(low[rows], high[rows])
            alive[rows] = ~flips & (steps[rows] < iterations)
            steps[rows] += 1
    return Result(first, best)
