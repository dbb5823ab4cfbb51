"""A small network that reads no hours but a summary of each measurement: what gradient boosting reads, made differentiable."""

import torch
from torch import Tensor, nn

from icu_adversarial.measurements import M

SUMMARIES = 6  # of each measurement
BINS = 8  # of a summary's piecewise linear encoding, with as many training stays in each


class SummaryNetwork(nn.Module):
    """Summaries and static inputs → piecewise linear encoding → Linear(units) → ReLU → dropout → Linear(2).

    The encoding (Gorishniy et al. 2022, arXiv:2203.05556) turns a number into BINS ones, of which that of bin k is 0 below the bin, 1 above it and
    rises within, so that a Linear layer can bend at every quantile; one more says that the summary is missing.
    """

    def __init__(self, statics: int, units: int, dropout: float) -> None:
        super().__init__()
        summaries = SUMMARIES * M + statics
        self.register_buffer("low", torch.zeros(summaries, BINS))
        self.register_buffer("width", torch.zeros(summaries, BINS))
        self.hidden = nn.Sequential(nn.Linear(summaries * (BINS + 1), units), nn.ReLU(), nn.Dropout(dropout))
        self.output = nn.Linear(units, 2)

    def fit(self, values: Tensor, observed: Tensor, statics: Tensor) -> None:
        """Take the bins of each summary from the training stays: equal shares of those that have it. Arguments as of `forward`."""
        summaries, missing = summarise(values, observed, statics)
        quantiles = torch.linspace(0, 1, BINS + 1, device=values.device)
        edges = summaries.masked_fill(missing, torch.nan).nanquantile(quantiles, dim=0).nan_to_num().T
        self.get_buffer("low").copy_(edges[:, :-1])
        self.get_buffer("width").copy_(edges.diff())

    def forward(self, values: Tensor, observed: Tensor, statics: Tensor) -> Tensor:
        """Logits (B, 2). values: (B, T, 19); observed: (B, T, 19), 0 | 1; statics: (B, S)."""
        summaries, missing = summarise(values, observed, statics)
        width = self.get_buffer("width")
        risen = ((summaries[..., None] - self.get_buffer("low")) / width.clamp(min=1e-6)).clamp(0, 1)
        known = risen.masked_fill(missing[..., None] | (width <= 0), 0)
        logits: Tensor = self.output(self.hidden(torch.cat([known, missing[..., None].to(known.dtype)], 2).flatten(1)))
        return logits


def summarise(values: Tensor, observed: Tensor, statics: Tensor) -> tuple[Tensor, Tensor]:
    """Of each measurement's observed values: mean, variance, covariance with the hour, mean over the last quarter of the window (of what is observed
    there, else the last value), last value; the logarithm of their number plus 1; then the statics.

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
    variance = (share * (values - mean[:, None]).square()).sum(1)
    moments = [mean, variance, (centred * values).sum(1), (_shares(recent) * values).sum(1), (last * values).sum(1)]
    missing = (number == 0).repeat(1, len(moments))
    known = torch.zeros_like(torch.cat([number, statics], 1), dtype=torch.bool)
    return torch.cat([*moments, number.log1p(), statics], 1), torch.cat([missing, known], 1)


def _shares(of: Tensor) -> Tensor:
    """What each hour counts in a mean over the hours `of`, (B, T, 19), 0 | 1; 0 where there are none."""
    return of / of.sum(1, keepdim=True).clamp(min=1)
