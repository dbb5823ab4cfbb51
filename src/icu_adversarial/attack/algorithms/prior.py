"""The update of the open-source project lstm_adversarial_attack: an optimizer's step, a soft threshold, a projection, a fixed number of times.

It is kept as it was, for comparison: the penalty acts twice (its gradient is in the step, and the threshold is the penalty itself, not the penalty
times the step), and the norm in its objective is the largest column sum. Left out is what made a result depend on other stays: the optimizer's
state is not carried over from one batch to the next, and the loss of a batch is a sum.
"""

from collections.abc import Callable

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

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def prior(
    logits_fn: Logits,
    x: Tensor,
    y: Tensor,
    *,
    lower: Tensor,
    upper: Tensor,
    iterations: int,
    optimizer: str = "adam",
    learning_rate: float = 0.01,
    kappa: float = 0.0,
    penalty: float = 1e-3,
) -> Result:
    """Lower max(Z_y - Z_t, -kappa) + penalty * max_j sum_t |P_tj| from P = 0; see attack/problem.py for the arguments that all attacks share.

    optimizer: adam | rmsprop | sgd, all element-wise, so that no sample sees another. All `iterations` are taken; `best` has the lowest objective.
    """
    first, best = no_example(lower), no_example(lower)
    for rows in torch.split(torch.arange(len(y), device=y.device), rows_at_once(x)):
        values = x[rows][..., : lower.shape[2]]
        low, high = lower[rows] - values, upper[rows] - values
        P = torch.zeros_like(values)
        descent = OPTIMIZERS[optimizer]([P], lr=learning_rate)
        best_objective = torch.full_like(P[:, 0, 0], torch.inf)
        for iteration in range(iterations + 1):
            Q = without_dust(P)
            margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], Q)
            column_sums = Q.abs().sum(1)
            objective = margin.clamp(min=-kappa) + penalty * column_sums.amax(1)

            flips = flipping(margin, Q)
            better = flips & (objective < best_objective)
            keep(first, Q, iteration, rows, flips & (first.iteration[rows] < 0))
            keep(best, Q, iteration, rows, better)
            best_objective = torch.where(better, objective, best_objective)

            if iteration < iterations:
                largest = torch.zeros_like(column_sums).scatter(
                    1, column_sums.argmax(1, keepdim=True), 1
                )[:, None]
                P.grad = (
                    torch.where(margin < -kappa, 0, 1)[:, None, None] * gradient
                    + penalty * largest * Q.sign()
                )
                descent.step()
                P.copy_((P.sign() * (P.abs() - penalty).clamp(min=0)).clamp(low, high))
    return Result(first, best)
