"""A small network that reads no hours but a summary of each measurement: what gradient boosting reads, as a smooth function of the values."""

import torch
from torch import Tensor, nn

from icu_adversarial.measurements import M

SUMMARIES = 6  # of each measurement
BENDS = (
    -1.0,
    0.0,
    1.0,
)  # where the network can bend along a summary, in standard deviations from its mean
SMALLEST_VARIANCE = 1e-3  # added to each, so that the slope of the standard deviation is finite


class SummaryNetwork(nn.Module):
    """Summaries and static inputs, standardised → tanh around each of BENDS → Linear(units) → GELU → dropout → Linear(2).

    One number more per summary says that it is missing. Several bends let a Linear layer tell low, usual and high values apart, as gradient boosting
    does by thresholds; piecewise linear ones (Gorishniy et al. 2022, arXiv:2203.05556) would leave a gradient that tells little of the next step.
    """

    def __init__(self, statics: int, units: int, dropout: float) -> None:
        super().__init__()
        summaries = SUMMARIES * M + statics
        self.register_buffer("bends", torch.tensor(BENDS), persistent=False)
        self.register_buffer("mean", torch.zeros(summaries))
        self.register_buffer("deviation", torch.full((summaries,), torch.inf))
        self.hidden = nn.Sequential(
            nn.Linear(summaries * (len(BENDS) + 1), units), nn.GELU(), nn.Dropout(dropout)
        )
        self.output = nn.Linear(units, 2)

    def fit(self, values: Tensor, observed: Tensor, statics: Tensor) -> None:
        """Take each summary's mean and standard deviation from the training stays that have it; one that never varies is never read. Arguments as
        of `forward`."""
        summaries, missing = summarise(values, observed, statics)
        known = summaries.masked_fill(missing, torch.nan)
        mean = known.nanmean(0).nan_to_num()
        deviation = (known - mean).square().nanmean(0).nan_to_num().sqrt()
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("deviation").copy_(deviation.masked_fill(deviation < 1e-6, torch.inf))

    def forward(self, values: Tensor, observed: Tensor, statics: Tensor) -> Tensor:
        """Logits (B, 2). values: (B, T, 19); observed: (B, T, 19), 0 | 1; statics: (B, S)."""
        summaries, missing = summarise(values, observed, statics)
        standardised = (summaries - self.get_buffer("mean")) / self.get_buffer("deviation")
        bent = (
            (standardised[..., None] - self.get_buffer("bends"))
            .tanh()
            .masked_fill(missing[..., None], 0)
        )
        logits: Tensor = self.output(
            self.hidden(torch.cat([bent, missing[..., None].to(bent.dtype)], 2).flatten(1))
        )
        return logits


def summarise(values: Tensor, observed: Tensor, statics: Tensor) -> tuple[Tensor, Tensor]:
    """Of each measurement's observed values: mean, standard deviation, covariance with the hour, mean over the last quarter of the window (of what is
    observed there, else the last value), last value; the logarithm of their number plus 1; then the statics.

    Arguments as of SummaryNetwork.forward. Returns (B, 6 x 19 + S), and which of them are missing, because the measurement is: bool, as large.
    Minimum and maximum are left out: where several values lie close together, their gradient tells of one alone.
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


def _shares(of: Tensor) -> Tensor:
    """What each hour counts in a mean over the hours `of`, (B, T, 19), 0 | 1; 0 where there are none."""
    return of / of.sum(1, keepdim=True).clamp(min=1)
