"""A small network that reads summaries of each measurement instead of the hours.

The summaries are those that gradient boosting reads, as smooth functions of the values.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

SUMMARIES = 6  # of each measurement
# Where the network can bend along a summary, in standard deviations from its mean. They were chosen
# by cross-validation within set A and within set B of the Challenge.
BENDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
SMALLEST_VARIANCE = 1e-3  # added to each variance, so that the square root has a finite slope


class SummaryNetwork(nn.Module):
    """Standardised summaries and static inputs → tanh around each of BENDS → GELU layer → logits.

    One more number for each summary says whether it is missing. Several bends let a linear layer
    separate low, usual and high values, which gradient boosting does by thresholds. Piecewise
    linear functions (Gorishniy et al. 2022, arXiv:2203.05556) would do the same, but their
    gradient is constant between the bends and says little about a larger step.
    """

    def __init__(self, measurements: int, statics: int, units: int, dropout: float) -> None:
        """Create the layers.

        Args:
            measurements: Number of measurements, M.
            statics: Number of static inputs, S.
            units: Units of the hidden layer.
            dropout: Probability of dropping a hidden unit in training, in [0, 1).
        """
        super().__init__()
        summaries = SUMMARIES * measurements + statics
        self.register_buffer("bends", torch.tensor(BENDS), persistent=False)
        self.register_buffer("mean", torch.zeros(summaries))
        self.register_buffer("deviation", torch.full((summaries,), torch.inf))
        self.hidden = nn.Sequential(
            nn.Linear(summaries * (len(BENDS) + 1), units), nn.GELU(), nn.Dropout(dropout)
        )
        self.output = nn.Linear(units, 2)

    def fit(
        self,
        values: Float[Tensor, "N T M"],
        observed: Float[Tensor, "N T M"],
        statics: Float[Tensor, "N S"],
    ) -> None:
        """Set the mean and standard deviation of each summary over the stays that have it.

        A summary that does not vary gets an infinite standard deviation: the network reads 0.

        Args:
            values, observed, statics: Of the training stays, as for `forward`.
        """
        summaries, missing = summarise(values, observed, statics)
        known = summaries.masked_fill(missing, torch.nan)
        mean = known.nanmean(0).nan_to_num()
        deviation = (known - mean).square().nanmean(0).nan_to_num().sqrt()
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("deviation").copy_(deviation.masked_fill(deviation < 1e-6, torch.inf))

    def forward(
        self,
        values: Float[Tensor, "B T M"],
        observed: Float[Tensor, "B T M"],
        statics: Float[Tensor, "B S"],
    ) -> Float[Tensor, "B 2"]:
        """Compute the logits.

        Args:
            values: The values in [0, 1], without NaN.
            observed: 1 where a value is observed, otherwise 0.
            statics: The static inputs.

        Returns:
            The logits. Column 1 is for death.
        """
        summaries, missing = summarise(values, observed, statics)
        standardised = (summaries - self.get_buffer("mean")) / self.get_buffer("deviation")
        absent = missing[..., None]
        bent = (standardised[..., None] - self.get_buffer("bends")).tanh().masked_fill(absent, 0)
        read = torch.cat([bent, absent.to(bent.dtype)], 2).flatten(1)
        logits: Tensor = self.output(self.hidden(read))
        return logits


def summarise(
    values: Float[Tensor, "B T M"],
    observed: Float[Tensor, "B T M"],
    statics: Float[Tensor, "B S"],
) -> tuple[Float[Tensor, "B D"], Bool[Tensor, "B D"]]:
    """Summarise the observed values of each measurement.

    The summaries are the mean; the standard deviation; the covariance with the hour as a share of
    the window; the mean over the last quarter of the window, or the last value if that quarter has
    none; the last value; the logarithm of 1 + the number of values. The minimum and the maximum
    are left out: if several values are close to each other, their gradient concerns one of them
    alone.

    Args:
        values, observed, statics: As for `SummaryNetwork.forward`.

    Returns:
        The summaries and the statics, D = 6 M + S, and which of them are missing. A measurement
        without observed values lacks all its summaries but the number.
    """
    T = values.shape[1]
    number = observed.sum(1)
    last = observed * (observed.flip(1).cumsum(1).flip(1) == 1)
    recent = observed * (torch.arange(T, device=values.device)[:, None] >= T - T // 4)
    recent = torch.where(recent.any(1, keepdim=True), recent, last)
    share = _shares(observed)
    hour = torch.arange(T, device=values.device, dtype=values.dtype)[:, None] / T
    centred = share * (hour - (share * hour).sum(1, keepdim=True))
    mean = (share * values).sum(1)
    deviation = ((share * (values - mean[:, None]).square()).sum(1) + SMALLEST_VARIANCE).sqrt()
    of_values = [
        mean,
        deviation,
        (centred * values).sum(1),
        (_shares(recent) * values).sum(1),
        (last * values).sum(1),
    ]
    missing = (number == 0).repeat(1, len(of_values))
    known = torch.zeros_like(torch.cat([number, statics], 1), dtype=torch.bool)
    return torch.cat([*of_values, number.log1p(), statics], 1), torch.cat([missing, known], 1)


def _shares(chosen: Tensor) -> Tensor:
    """The weight of each hour in a mean over the chosen hours, (B, T, M); 0 if none is chosen.

    chosen: 0 or 1, (B, T, M).
    """
    return chosen / chosen.sum(1, keepdim=True).clamp(min=1)
