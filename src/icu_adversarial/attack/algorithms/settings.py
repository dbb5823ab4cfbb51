"""The constants of the attacks: what each one does, and how it was chosen.

`python benchmarks/attack_constants.py` prints what happens at half and at twice each value. The
result of a run is in docs/results/constants.md.
"""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

PROTOTYPE = (
    "by hand on a prototype, on simulated records of 48 x 19 values and three LSTM networks of "
    "128 units"
)
OPTIMA = (
    "by hand, because the margin of the default network has many local optima; the stays are not "
    "recorded"
)
PAPER = "taken from Sun et al. 2018"
NOT_RECORDED = "not recorded"


def constant(
    default: Any,
    does: str,
    chosen: str = NOT_RECORDED,
    *,
    least: float = 0.0,
    most: float = math.inf,
) -> Any:
    """A field of a settings class.

    Args:
        default: Its value.
        does: What the constant does, with its unit.
        chosen: How and on which stays the value was chosen.
        least: The smallest value that makes sense.
        most: The largest value that makes sense.
    """
    about = {"does": does, "chosen": chosen, "least": least, "most": most}
    return field(default=default, metadata=about)


class Start(NamedTuple):
    """Where a sample begins again: at a part of its best perturbation so far.

    Attributes:
        odd: The factor of every other changed cell, the first one included, 0 to 1.
        even: The factor of the remaining changed cells, 0 to 1.
        radius: The first trust region there, in model input units.
    """

    odd: float
    even: float
    radius: float


class SparseStart(NamedTuple):
    """How a sparse example is made, at which a sample begins again.

    Attributes:
        cap: The largest change of a cell, in model input units.
        share: The share of the cells which the linear model asks for that is added at once.
        radius: The first trust region there, in model input units.
    """

    cap: float
    share: float
    radius: float


@dataclass(frozen=True)
class StepSettings:
    """The constants of one step: a few linear programmes on a quadratic model of the margin."""

    reach: float = constant(
        0.7,
        "Share of the reachable decrease of the margin that a step takes where the linear model "
        "does not reach the boundary.",
        PROTOTYPE,
        most=1.0,
    )
    points: int = constant(
        4, "Number of past points whose gradients give the curvature of the margin."
    )
    cells: int = constant(
        128,
        "Number of cells that may move in a step: the changed ones first, then those with the "
        "largest gradient. All cells may move where these are too few.",
    )
    programmes: int = constant(5, "Number of linear programmes that are solved per step.")
    shrink: float = constant(
        0.5, "Factor of the trust region from one linear programme of a step to the next.", most=1.0
    )
    independent: float = constant(
        1e-4,
        "A past point is left out where less than this share of its squared distance is at right "
        "angles to the more recent points.",
    )


@dataclass(frozen=True)
class L1Settings:
    """The constants of `l1`. Those that tune_attack searches are its arguments."""

    kappa: float = constant(
        2e-5,
        "Smallest distance behind the boundary of the model at which a step aims, in logits. It "
        "has to exceed the margin of 1e-5 from which a flip counts.",
        "as twice that margin",
    )
    poor: float = constant(
        0.5,
        "Relative error of the predicted margin above which the trust region shrinks.",
        PROTOTYPE,
    )
    good: float = constant(
        0.2, "Relative error of the predicted margin below which the trust region grows.", PROTOTYPE
    )
    narrower: float = constant(0.6, "Factor of the trust region after a poor prediction.", most=1.0)
    wider: float = constant(
        1.5, "Factor of the trust region after a good prediction.", PROTOTYPE, least=1.0
    )
    penalty: float = constant(
        2.5,
        "Weight of a margin above zero in the merit of a point, in multiples of the price of the "
        "margin.",
        PROTOTYPE,
    )
    improvement: float = constant(
        1e-3,
        "Smallest relative decrease of the merit or the norm that counts as progress.",
        most=1.0,
    )
    unflipped: int = constant(
        3, "A sample without an example waits this many times `patience` for progress."
    )
    starts: tuple[Start, ...] = constant(
        (
            Start(0.0, 0.0, 0.1),
            Start(0.5, 0.5, 0.1),
            Start(1.0, 0.0, 0.1),
            Start(0.0, 1.0, 0.1),
            Start(0.0, 0.0, 0.3),
            Start(1.0, 1.0, 0.1),
            Start(0.0, 0.0, 0.03),
        ),
        "Where a sample begins again, in this order. `restarts` says how many are used.",
        OPTIMA,
    )
    longest_start: float = constant(
        1 / 3,
        "Share of the passes that one of several starts may take.",
        "by hand: without it, one of 512 stays of PhysioNet Challenge 2012 was left at eight times "
        "its smallest norm",
        most=1.0,
    )
    beyond_steps: int = constant(
        10, "Number of gradient steps to the start beyond the boundary.", OPTIMA
    )
    beyond_length: float = constant(
        0.3,
        "How far the steepest cell moves in each of these steps, in model input units.",
        OPTIMA,
    )
    beyond_radius: float = constant(
        0.03, "First trust region at the start beyond the boundary.", OPTIMA
    )
    sparse_starts: tuple[SparseStart, ...] = constant(
        (
            SparseStart(0.25, 0.34, 0.1),
            SparseStart(1.0, 0.34, 0.3),
            SparseStart(0.25, 1.0, 0.3),
            SparseStart(0.5, 0.34, 0.3),
        ),
        "The sparse examples at which a sample begins again. `supports` says how many are used.",
        OPTIMA,
    )
    sparse_candidates: int = constant(
        32, "Number of exchanges that are tried at once for a sparse example.", OPTIMA
    )
    sparse_patience: int = constant(
        2, "Number of exchanges without progress after which a sparse example is used.", OPTIMA
    )
    growth: float = constant(
        0.34,
        "Share of the cells which the linear model asks for that is added at once, for a sample "
        "that is not flipped otherwise.",
        most=1.0,
    )
    visible: float = constant(
        1e-3,
        "A smaller change of a cell is removed where the prediction stays flipped, in model input "
        "units.",
        "by hand, on 2 of 512 stays of PhysioNet Challenge 2012 and an over-trained network",
    )
    stretch: float = constant(
        0.005,
        "Share by which the other changes and the norm may grow for such a removal.",
        "by hand, on 2 of 512 stays of PhysioNet Challenge 2012 and an over-trained network",
    )
    step: StepSettings = StepSettings()


@dataclass(frozen=True)
class SunSettings:
    """The constants of `sun`, as in the paper."""

    step: float = constant(0.02, "Length of a gradient step, per logit.", PAPER)
    lowest_penalty: float = constant(5e-4, "The lowest penalty.", PAPER)
    highest_penalty: float = constant(1.5e-2, "The highest penalty.", PAPER)
    runs: int = constant(25, "Number of penalties, spaced evenly on a logarithmic scale.", PAPER)

    def penalties(self) -> list[float]:
        """The penalties, rising."""
        low, high = (
            torch.log10(torch.tensor(end)).item()
            for end in (self.lowest_penalty, self.highest_penalty)
        )
        return torch.logspace(low, high, self.runs).tolist()
