"""The fewest cells that flip a prediction: grow a support, exchange and drop its cells, then make what is left as small as possible.

In the first two parts, those of supports.py, every cell of the support is at an end of its box, where it gains the most margin.
"""

from functools import partial

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.algorithms.supports import Samples, exchange, grow, keep_sparser
from icu_adversarial.attack.api import Example, Logits, Result, keep


def l0(
    logits_fn: Logits,
    x: Tensor,
    y: Tensor,
    *,
    lower: Tensor,
    upper: Tensor,
    iterations: int,
    cap: float = 1.0,
    share: float = 0.34,
    candidates: int = 128,
    patience: int = 2,
    starts: int = 2,
) -> Result:
    """Minimise the number of cells with P != 0, then sum|P| on these cells; see attack/problem.py for the arguments that all attacks share.

    cap: no cell moves further. share: of the cells that the linearisation asks for, how many are added at once. candidates: supports tried per
    exchange, in one forward pass. patience: exchanges that do not lower the margin before a start ends, and passes of the last part without progress.
    starts: supports grown and exchanged side by side, with shares from `share` to 1; `iteration` counts the steps of one. `first` is the earliest
    example, `best` the one with the fewest cells of all.
    A sample that cannot be flipped by cells at their ends starts from the example of `l1`.
    """
    T, M = lower.shape[1:]
    low, high = ((bound - x[..., :M]).flatten(1).clamp(-cap, cap) for bound in (lower, upper))
    B = len(y)
    every = Samples(
        logits_fn,
        x.repeat(starts, 1, 1),
        y.repeat(starts),
        low.repeat(starts, 1),
        high.repeat(starts, 1),
        (T, M),
    )  # start by start
    grown = grow(
        every, iterations, torch.linspace(share, 1, starts, device=x.device).repeat_interleave(B)
    )
    first = _rows(grown, slice(0, B))
    failed = (first.iteration < 0).nonzero()[:, 0]
    dense = l1(
        logits_fn,
        x[failed],
        y[failed],
        lower=lower[failed],
        upper=upper[failed],
        iterations=iterations,
        cap=cap,
        supports=0,
        growth=False,
    )
    for example, new in ((first, dense.first), (grown, dense.best)):
        keep(example, new.perturbation, new.iteration, failed, new.iteration >= 0)
    everyone = torch.arange(B, device=y.device)
    for number in range(1, starts):
        other = _rows(grown, slice(number * B, (number + 1) * B))
        earlier = (first.iteration < 0) | (other.iteration < first.iteration)
        keep(first, other.perturbation, other.iteration, everyone, (other.iteration >= 0) & earlier)

    exchange(every, grown, iterations, candidates, patience)
    best = _rows(grown, slice(0, B))
    for number in range(1, starts):
        other = _rows(grown, slice(number * B, (number + 1) * B))
        keep_sparser(
            best, other.perturbation.flatten(1), everyone, other.iteration >= 0, other.iteration
        )

    found = (best.iteration >= 0).nonzero()[:, 0]
    P, values = best.perturbation[found], x[found][..., :M]
    down_to, up_to = (torch.where(P != 0, bound[found], values) for bound in (lower, upper))
    refit = partial(l1, logits_fn, x[found], y[found], lower=down_to, upper=up_to)
    smaller = refit(
        iterations=iterations,
        cap=cap,
        patience=patience,
        restarts=0,
        supports=0,
        start=P,
        growth=False,
    ).best
    steps = best.iteration[found] + smaller.iteration
    keep(best, smaller.perturbation, steps, found, smaller.iteration >= 0)
    return Result(first, best)


def _rows(example: Example, which: slice) -> Example:
    """A copy of some samples' examples."""
    return Example(example.perturbation[which].clone(), example.iteration[which].clone())
