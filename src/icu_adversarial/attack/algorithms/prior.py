"""The attack of the open-source project lstm_adversarial_attack, for comparison.

It takes an optimizer's step, then a soft threshold, then a projection, a fixed number of times. It
is kept as it was. The penalty acts twice: its gradient is in the step, and the threshold is the
penalty itself instead of the penalty times the step. The norm in the objective is the largest
column sum. One thing is left out, because it made a result depend on other stays: the state of the
optimizer is not carried over from one batch to the next, and the loss of a batch is a sum.
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
    zero_small,
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
    """Lower max(Z_y - Z_t, -kappa) + penalty * max_j sum_t |P_tj| from P = 0.

    Args:
        logits_fn: The network; see `attack.api`.
        x: The samples, (B, T, C).
        y: The class to leave, (B,).
        lower: The lowest allowed values, (B, T, M).
        upper: The highest allowed values, (B, T, M).
        iterations: Steps; all of them are taken.
        optimizer: adam, rmsprop or sgd. All work on single cells, so samples stay independent.
        learning_rate: Of the optimizer.
        kappa: The margin behind the boundary below which the margin is not lowered, in logits.
        penalty: The weight of the norm, and the soft threshold, in model input units.

    Returns:
        The first example, and the one with the lowest objective.
    """
    first, best = no_example(lower), no_example(lower)
    for rows in torch.split(torch.arange(len(y), device=y.device), rows_at_once(x)):
        values = x[rows][..., : lower.shape[2]]
        low, high = lower[rows] - values, upper[rows] - values
        P = torch.zeros_like(values)
        descent = OPTIMIZERS[optimizer]([P], lr=learning_rate)
        best_objective = torch.full_like(P[:, 0, 0], torch.inf)
        for iteration in range(iterations + 1):
            # look
            Q = zero_small(P)
            margin, gradient = margin_and_gradient(logits_fn, x[rows], y[rows], Q)
            column_sums = Q.abs().sum(1)
            objective = margin.clamp(min=-kappa) + penalty * column_sums.amax(1)

            # keep first and best
            flips = flipping(margin, Q)
            better = flips & (objective < best_objective)
            keep(first, Q, iteration, rows, flips & (first.iteration[rows] < 0))
            keep(best, Q, iteration, rows, better)
            best_objective = torch.where(better, objective, best_objective)

            # step, threshold and clamp
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
