"""The proximal L1 attack: a gradient step on the hinge, a soft threshold, a projection; the whole batch at once, each sample for itself.

After Sun et al. 2018 (KDD), with the proximal step in its textbook form (Parikh and Boyd 2014, Proximal Algorithms, sections 4.2 and 6.5.2).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from icu_adversarial.attack.quality import FLIP_MARGIN, NONZERO

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


class Example(NamedTuple):
    """perturbation: (B, T, C), zero where none was found. iteration: int32 (B,), gradient steps taken, from 1; -1 where none was found."""

    perturbation: Tensor
    iteration: Tensor


class Result(NamedTuple):
    """Per sample the first example, and the one with the lowest objective."""

    first: Example
    best: Example


def proximal(
    logits_fn: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    *,
    lower: Tensor,
    upper: Tensor,
    optimizer: str,
    learning_rate: float,
    kappa: float,
    penalty: float,
    iterations: int,
) -> Result:
    """Minimise h(P) + penalty * sum|P| over lower <= x + P <= upper, where h(P) = max(Z_y - Z_t, -kappa) at x + P, from P = 0.

    logits_fn: (B, T, C) -> (B, 2), without randomness, each sample on its own. x: float (B, T, C). y: int64 (B,), the class to leave, 0 or 1;
    t is the other. lower, upper: the box, broadcastable to x; a cell with lower = upper = x never moves.
    optimizer: adam | rmsprop | sgd, fresh for each call; all are element-wise, and the gradient is that of the batch's sum, so that no sample
    sees another. learning_rate: also scales the soft threshold (see `_step`); for sgd it is learning_rate * penalty.
    All `iterations` steps are taken. An iterate is an example when it is not zero and Z_y - Z_t < FLIP_MARGIN; cells with |P| <= NONZERO are
    zero in it, while the search itself keeps their small steps.
    """
    P = torch.zeros_like(x)
    descent = OPTIMIZERS[optimizer]([P], lr=learning_rate)
    first, best = (Example(torch.zeros_like(x), torch.full_like(y, -1, dtype=torch.int32)) for _ in range(2))
    best_objective = torch.full_like(x[:, 0, 0], torch.inf)
    for iteration in range(iterations + 1):
        Q = torch.where(P.abs() > NONZERO, P, 0)
        X = torch.clamp(x + Q, lower, upper).requires_grad_()
        Z = logits_fn(X)
        margin = (Z.gather(1, y[:, None]) - Z.gather(1, 1 - y[:, None]))[:, 0]
        hinge = margin.clamp(min=-kappa)

        l1 = Q.abs().sum((1, 2))
        objective = (hinge + penalty * l1).detach()
        flips = (margin < FLIP_MARGIN) & (l1 > 0)
        _keep(first, Q, iteration, flips & (first.iteration < 0))
        better = flips & (objective < best_objective)
        _keep(best, Q, iteration, better)
        best_objective = torch.where(better, objective, best_objective)

        if iteration < iterations:
            P.grad = torch.autograd.grad(hinge.sum(), X)[0]
            descent.step()
            threshold = penalty * _step(descent, P, learning_rate, iteration + 1)
            P.copy_(torch.clamp(P.sign() * (P.abs() - threshold).clamp(min=0), lower - x, upper - x))
    return Result(first, best)


def _step(descent: torch.optim.Optimizer, P: Tensor, learning_rate: float, steps: int) -> Tensor | float:
    """The step that the optimizer takes per unit of gradient, per cell: the proximal operator of the L1 norm in the optimizer's own metric
    thresholds by penalty times this. One threshold for all cells would ignore that Adam and RMSprop move every cell alike: no cell stays zero."""
    state = descent.state[P]
    if isinstance(descent, torch.optim.Adam):
        variance, eps = state["exp_avg_sq"] / (1 - descent.defaults["betas"][1] ** steps), descent.defaults["eps"]
    elif isinstance(descent, torch.optim.RMSprop):
        variance, eps = state["square_avg"], descent.defaults["eps"]
    else:
        return learning_rate
    return learning_rate / (variance.sqrt() + eps)


def _keep(example: Example, Q: Tensor, iteration: int, which: Tensor) -> None:
    """Overwrite the samples of `which`, bool (B,), by the present iterate."""
    example.perturbation[which] = Q[which]
    example.iteration[which] = iteration
