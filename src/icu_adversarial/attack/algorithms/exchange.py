"""Make supports smaller: exchange and drop their cells, as long as the prediction stays flipped."""

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.supports import Samples, gain_of
from icu_adversarial.attack.api import (
    FLIP_MARGIN,
    Example,
    flipping,
    keep,
    margin_and_gradient,
    margins,
    rows_at_once,
)


def exchange(
    samples: Samples,
    best: Example,
    iterations: int,
    candidates: int,
    patience: int,
) -> None:
    """Make the supports in `best` smaller, as long as the prediction stays flipped.

    From a support that flips, the cells that the linear model does not need leave, at least one.
    From a support that does not flip, one cell leaves and another one enters. In both cases the
    most promising `candidates` of the linear model are tried in one forward pass, and the one with
    the lowest margin is taken.

    Args:
        samples: The samples.
        best: Examples to begin with; it is changed.
        iterations: Passes per sample, at most.
        candidates: Supports that are tried at once.
        patience: Exchanges that do not lower the margin before a sample ends.
    """
    logits_fn, x, y, low, high, shape = samples
    # An example of l1 may lie between the ends of the box.
    found = best.perturbation.flatten(1)
    now = torch.where(found > 0, high, torch.where(found < 0, low, 0))
    steps, started = torch.zeros_like(best.iteration), best.iteration.clone()
    stalled, most = torch.zeros_like(y), torch.full_like(y, low.shape[1])
    lowest = torch.full_like(low[:, 0], torch.inf)
    alive = best.iteration >= 0
    while len(rows := alive.nonzero()[: rows_at_once(x), 0]):
        # look, and keep the sparser example
        P = now[rows]
        margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], P.view(-1, *shape))
        gradient, flips = gradient.flatten(1), flipping(margin, P)
        keep_sparser(best, P, rows, flips, started[rows] + steps[rows])

        # drop cells, then try exchanges in one forward pass
        base, dropped = _drop(P, margin, gradient, flips, most[rows])
        end, gain = gain_of(gradient, low[rows], high[rows], base == 0)
        tried, change = _candidates(base, gradient, end, gain, flips, candidates)
        tried_margin = _margins_of_each(samples, rows, tried)
        lowest_margin, choice = torch.where(change.isfinite(), tried_margin, torch.inf).min(1)
        Q = tried[torch.arange(len(rows), device=y.device), choice]
        hit = lowest_margin < FLIP_MARGIN
        steps[rows] += 1
        keep_sparser(best, Q, rows, hit & Q.any(1), started[rows] + steps[rows])

        # go on from the best of them, or drop half as many cells
        too_many = flips & ~hit & (dropped > 1)
        most[rows] = torch.where(too_many, dropped // 2, most[rows])
        down = ~hit & ~too_many & (flips | (lowest_margin < lowest[rows]))
        lowest[rows] = torch.where(hit, torch.inf, torch.where(down, lowest_margin, lowest[rows]))
        stalled[rows] = torch.where(hit | down | too_many, 0, stalled[rows] + 1)
        now[rows] = torch.where(too_many[:, None], P, Q)

        # end
        single = (best.perturbation[rows] != 0).flatten(1).sum(1) == 1
        alive[rows] = (
            (stalled[rows] < patience)
            & lowest_margin.isfinite()
            & ~single
            & (steps[rows] < iterations)
        )


def _margins_of_each(samples: Samples, rows: Tensor, tried: Tensor) -> Tensor:
    """The margins of several perturbations of each sample.

    Args:
        samples: All samples.
        rows: The samples that are tried, int64 (n,).
        tried: Their perturbations, (n, number, cells).

    Returns:
        The margins, (n, number).
    """
    logits_fn, x, y, _, _, shape = samples
    every = rows.repeat_interleave(tried.shape[1])
    # The inputs are made part by part, because all of them at once may not fit into the memory.
    parts = zip(
        *(torch.split(tensor, rows_at_once(x)) for tensor in (every, tried.view(-1, *shape))),
        strict=True,
    )
    return torch.cat(
        [margins(logits_fn, x[part], y[part], x[part][..., : shape[1]] + P) for part, P in parts]
    ).view(tried.shape[:2])


def _drop(
    P: Tensor,
    margin: Tensor,
    gradient: Tensor,
    flips: Tensor,
    most: Tensor,
) -> tuple[Tensor, Tensor]:
    """Remove the cells that a support which flips does not need, by the linear model.

    Args:
        P: The perturbations, (n, cells).
        margin: The margins there, (n,).
        gradient: Their gradients, (n, cells).
        flips: Which of them flip; from the others nothing is removed, bool (n,).
        most: Cells to remove, at most, (n,). At least one is removed.

    Returns:
        The smaller perturbations, and the numbers of removed cells, (n,).
    """
    loss, cell = torch.where(P != 0, -gradient * P, torch.inf).sort(1)
    spare = (margin[:, None] + loss.cumsum(1) < FLIP_MARGIN).cumprod(1).sum(1)
    limit = torch.minimum(most, (P != 0).sum(1) - 1)
    dropped = torch.where(flips, torch.minimum(spare.clamp(min=1), limit), 0)
    leaving = torch.arange(cell.shape[1], device=P.device) < dropped[:, None]
    return P.scatter(1, cell, torch.where(leaving, 0, P.gather(1, cell))), dropped


def _candidates(
    base: Tensor,
    gradient: Tensor,
    end: Tensor,
    gain: Tensor,
    flips: Tensor,
    number: int,
) -> tuple[Tensor, Tensor]:
    """Make the most promising supports of the size of `base`, by the linear model.

    Each is `base` with one cell exchanged for another, or `base` itself where it is new.

    Args:
        base: The support to change, (n, cells).
        gradient: The gradient of the margin, (n, cells).
        end: The end of each cell that lowers the margin, (n, cells).
        gain: By how much it does, (n, cells).
        flips: Where `base` is new, because cells were removed from it, bool (n,).
        number: How many supports to make.

    Returns:
        The supports, (n, number, cells), and what each adds to the margin of `base` by the linear
        model, (n, number), rising; inf for a place without a support.
    """
    # the cheapest cells to remove, the best ones to add, and all pairs of both: one that is not
    # among the first `number` of its kind is in none of the best `number` pairs
    neighbours = min(number, base.shape[1])
    loss, leaving = torch.where(base != 0, -gradient * base, torch.inf).topk(
        neighbours, 1, largest=False
    )
    won, entering = torch.where(gain > 0, gain, -torch.inf).topk(neighbours, 1)
    change = (loss[:, :, None] - won[:, None, :]).flatten(1)
    unchanged = torch.where(flips, 0, torch.inf)[:, None]
    change, choice = torch.cat([unchanged, change], 1).topk(
        min(number, 1 + neighbours**2), 1, largest=False
    )

    # make the supports
    pair = (choice - 1).clamp(min=0)
    out = leaving.gather(1, pair // neighbours)[..., None]
    into = entering.gather(1, pair % neighbours)[..., None]
    tried, exchanged = base[:, None].repeat(1, choice.shape[1], 1), (choice > 0)[..., None]
    tried.scatter_(2, out, torch.where(exchanged, 0, tried.gather(2, out)))
    value = end[:, None].expand_as(tried).gather(2, into)
    tried.scatter_(2, into, torch.where(exchanged, value, tried.gather(2, into)))
    return tried, change


def keep_sparser(best: Example, P: Tensor, rows: Tensor, flips: Tensor, iteration: Tensor) -> None:
    """Keep P, (n, cells), where it flips with fewer cells than the best example, if there is one.

    Args:
        best: The best examples of all samples; it is changed.
        P: New perturbations of the samples `rows`.
        rows: int64 (n,).
        flips: Which of them are examples, bool (n,).
        iteration: The passes until then, (n,).
    """
    fewer = (P != 0).sum(1) < (best.perturbation[rows] != 0).flatten(1).sum(1)
    keep(best, P, iteration, rows, flips & (fewer | (best.iteration[rows] < 0)))
