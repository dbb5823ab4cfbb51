"""The fewest cells that flip a prediction, then the smallest sum of changes on these cells.

`supports` grows a set of cells and exchanges them, each at an end of its box. `l1` makes the
changes on the remaining cells small. docs/attacks.md has the algorithm as pseudocode.
"""

from functools import partial

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.exchange import exchange, keep_sparser
from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.algorithms.settings import L1Settings
from icu_adversarial.attack.algorithms.supports import Samples, grow
from icu_adversarial.attack.api import Example, Logits, Result, keep

SETTINGS = L1Settings()


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
    settings: L1Settings = SETTINGS,
) -> Result:
    """Minimise the number of cells with P != 0, then sum|P| on these cells.

    Args:
        logits_fn: The network; see `attack.api`.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        lower: The lowest allowed values, (B, T, M).
        upper: The highest allowed values, (B, T, M).
        iterations: Passes per sample and part of the attack, at most.
        cap: The largest change of a cell, in model input units.
        share: The share of the cells which the linear model asks for that is added at once.
        candidates: Supports that are tried per exchange, in one forward pass.
        patience: Exchanges that do not lower the margin before a start ends, and passes of the
            last part without progress.
        starts: Supports that are grown and exchanged at the same time, with shares from `share` to
            1. `iteration` counts the steps of one of them.
        settings: The constants.

    Returns:
        The first example is the earliest one of all starts. The best one has the fewest cells.
    """
    (T, M), B = lower.shape[1:], len(y)
    low, high = ((bound - x[..., :M]).flatten(1).clamp(-cap, cap) for bound in (lower, upper))
    # The samples are repeated, start by start.
    repeated = (x.repeat(starts, 1, 1), y.repeat(starts), low.repeat(starts, 1))
    every = Samples(logits_fn, *repeated, high.repeat(starts, 1), (T, M))
    small = partial(
        l1, logits_fn, iterations=iterations, cap=cap, supports=0, growth=False, settings=settings
    )

    # grow supports
    shares = torch.linspace(share, 1, starts, device=x.device).repeat_interleave(B)
    grown = grow(every, iterations, shares)
    first = _start(grown, 0, B)

    # a sample that cells at their ends do not flip starts from an example of l1
    failed = (first.iteration < 0).nonzero()[:, 0]
    dense = small(x[failed], y[failed], lower=lower[failed], upper=upper[failed])
    for example, new in ((first, dense.first), (grown, dense.best)):
        keep(example, new.perturbation, new.iteration, failed, new.iteration >= 0)
    _keep_earliest(first, grown, starts)

    # exchange and drop cells, and keep the sparsest
    exchange(every, grown, iterations, candidates, patience)
    best = _sparsest(grown, starts)

    # make the changes on these cells small
    found = (best.iteration >= 0).nonzero()[:, 0]
    P, values = best.perturbation[found], x[found][..., :M]
    closed_low, closed_high = (torch.where(P != 0, b[found], values) for b in (lower, upper))
    smaller = small(
        x[found],
        y[found],
        lower=closed_low,
        upper=closed_high,
        patience=patience,
        restarts=0,
        start=P,
    ).best
    steps = best.iteration[found] + smaller.iteration
    keep(best, smaller.perturbation, steps, found, smaller.iteration >= 0)
    return Result(first, best)


def _start(examples: Example, number: int, samples: int) -> Example:
    """Copy the examples of one start, of `samples` samples."""
    which = slice(number * samples, (number + 1) * samples)
    return Example(examples.perturbation[which].clone(), examples.iteration[which].clone())


def _keep_earliest(first: Example, grown: Example, starts: int) -> None:
    """Keep in `first`, the examples of the first start, the earliest ones of all starts."""
    everyone = torch.arange(len(first.iteration), device=first.iteration.device)
    for number in range(1, starts):
        other = _start(grown, number, len(everyone))
        earlier = (first.iteration < 0) | (other.iteration < first.iteration)
        keep(first, other.perturbation, other.iteration, everyone, (other.iteration >= 0) & earlier)


def _sparsest(grown: Example, starts: int) -> Example:
    """The examples with the fewest cells of all starts."""
    samples = len(grown.iteration) // starts
    best = _start(grown, 0, samples)
    everyone = torch.arange(samples, device=best.iteration.device)
    for number in range(1, starts):
        other = _start(grown, number, samples)
        found = other.iteration >= 0
        keep_sparser(best, other.perturbation.flatten(1), everyone, found, other.iteration)
    return best
