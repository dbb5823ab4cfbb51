"""How far the descent of each sample is, and the rules that change it.

`descent` calls them in this order: `begin`, then in every pass `judge`, `has_ended`, `restart`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from icu_adversarial.attack.algorithms.settings import L1Settings
from icu_adversarial.attack.api import FLIP_MARGIN, zero_small


class Progress(NamedTuple):
    """How far the descent of each sample is. Every field is (B,), except P.

    Attributes:
        P: The perturbation that the next pass looks at, (B, cells).
        predicted: The margin that the model expects there; inf at a start.
        before: The margin at the point before.
        radius: The trust region, in model input units.
        kappa: The distance behind the boundary at which a step aims, in logits.
        price: L1 norm per unit of margin at the last step.
        best_l1: The norm of the best example; inf without one.
        lowest_l1: The norm of the point of lowest merit.
        lowest_margin: The margin of this point.
        stalled: Passes without progress.
        restarts: Starts that were made after the first one.
        since: Passes since the last start.
        iteration: Passes since the first start.
    """

    P: Tensor
    predicted: Tensor
    before: Tensor
    radius: Tensor
    kappa: Tensor
    price: Tensor
    best_l1: Tensor
    lowest_l1: Tensor
    lowest_margin: Tensor
    stalled: Tensor
    restarts: Tensor
    since: Tensor
    iteration: Tensor


def begin(P: Tensor, radius: float, settings: L1Settings) -> Progress:
    """The progress before the first pass, at the perturbations P, (B, cells)."""
    number, count = P.new_zeros(len(P)), torch.zeros(len(P), dtype=torch.int32, device=P.device)
    infinite = torch.full_like(number, torch.inf)
    return Progress(
        P.clone(),
        predicted=infinite.clone(),
        before=number.clone(),
        radius=torch.full_like(number, radius),
        kappa=torch.full_like(number, settings.kappa),
        price=torch.ones_like(number),
        best_l1=infinite.clone(),
        lowest_l1=infinite.clone(),
        lowest_margin=infinite.clone(),
        stalled=count.clone(),
        restarts=count.clone(),
        since=count.clone(),
        iteration=count.clone(),
    )


def judge(
    now: Progress, margin: Tensor, norm: Tensor, flips: Tensor, settings: L1Settings
) -> tuple[Progress, Tensor]:
    """Adapt the trust region, the aim and the lowest merit to the result of the last step.

    Args:
        now: The progress, with the point that was looked at in P.
        margin: The margin there, (n,).
        norm: The L1 norm of P, (n,).
        flips: Whether P is an example, bool (n,).
        settings: The constants.

    Returns:
        The new progress, and which samples improved, bool (n,).
    """
    # trust region: the error is NaN at a start, where no comparison holds
    expected = (now.before - now.predicted).abs().clamp(min=1e-6)
    error = (margin - now.predicted).abs() / expected
    factor = torch.where(
        error > settings.poor,
        settings.narrower,
        torch.where(error < settings.good, settings.wider, 1.0),
    )
    radius = (now.radius * factor).clamp(max=1)

    # aim: further behind the boundary until the prediction flips, then closer to it
    further = torch.where(now.iteration > 0, now.kappa * 2, now.kappa)
    kappa = torch.where(margin < FLIP_MARGIN, now.kappa / 2, further).clamp(settings.kappa, 1)

    # merit: the norm, plus what is left of the margin at its price
    penalty = settings.penalty * now.price
    merit = norm + penalty * margin.clamp(min=0)
    lowest = now.lowest_l1 + penalty * now.lowest_margin.clamp(min=0)
    lower = merit < lowest * (1 - settings.improvement)
    now = now._replace(
        radius=radius,
        kappa=kappa,
        lowest_l1=torch.where(lower, norm, now.lowest_l1),
        lowest_margin=torch.where(lower, margin, now.lowest_margin),
    )
    return now, lower | (flips & (norm < now.best_l1 * (1 - settings.improvement)))


def has_ended(
    now: Progress, norm: Tensor, better: Tensor, patience: int, settings: L1Settings
) -> Tensor:
    """Which samples have no progress to expect from this start, bool (n,).

    Args:
        now: The progress, with the next point in P.
        norm: The L1 norm of the last point, (n,).
        better: Whether the last point is the best example so far, bool (n,).
        patience: Passes without progress.
        settings: The constants.
    """
    converged = better & (now.P.abs().sum(1) > norm * (1 - settings.improvement))
    waits = torch.where(now.best_l1.isfinite(), patience, settings.unflipped * patience)
    return converged | (now.stalled >= waits)


def restart(
    now: Progress, again: Tensor, best: Tensor, starts: Tensor, settings: L1Settings
) -> Progress:
    """Set the samples `again` to the next start: a part of their best perturbation.

    Args:
        now: The progress.
        again: Which samples begin again, bool (n,).
        best: The best perturbations, (n, cells).
        starts: The values of `settings.starts`, a row for each start.
        settings: The constants.
    """
    start = starts[now.restarts.long()]
    odd = (best != 0).cumsum(1) % 2 == 1
    P = zero_small(torch.where(odd, start[:, :1], start[:, 1:2]) * best)
    return now._replace(
        restarts=now.restarts + again.int(),
        since=torch.where(again, 0, now.since),
        P=torch.where(again[:, None], P, now.P),
        predicted=torch.where(again, torch.inf, now.predicted),
        radius=torch.where(again, start[:, 2], now.radius),
        kappa=torch.where(again, settings.kappa, now.kappa),
        lowest_l1=torch.where(again, torch.inf, now.lowest_l1),
        stalled=torch.where(again, 0, now.stalled),
    )
