"""The networks: hours × channels → logits. Which is which, and its size, stands in `model` of params.yaml."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from icu_adversarial.config.model import Model
from icu_adversarial.measurements import M
from icu_adversarial.model.networks.summary import SummaryNetwork

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
SPREAD = 10.0  # of the values as PooledLSTM reads them
NEVER_OBSERVED = {
    "observed": 0.0,
    "hours_since_observed": 1.0,
}  # what an extra channel says of such a measurement
STANDARD = (
    "n_summary",
    "measurement_dropout",
    "lstm_activation",
    "dropout",
    "n_fc",
    "fc_activation",
)  # what every network has


class Network(nn.Module):
    """What all networks share: read-out and static inputs → activation → dropout → optional Linear(n_fc) → activation → Linear(2).

    Input (B, T, C): 19 values, where NaN (not observed and not filled) is read as 0, the `extra_channels` of the 19, and `statics` further ones that
    are the same at every hour. Output: logits (B, 2), column 1 for death. A subclass makes the read-out.
    In training, each measurement of each stay is hidden from it with probability `measurement_dropout`: it sees its median, and that it was never
    observed. With `n_summary` units, a SummaryNetwork stands beside all this, and the logits are the mean of both's.
    """

    def __init__(
        self,
        statics: int,
        read_out: int,
        *,
        extra_channels: Sequence[str],
        n_summary: int,
        measurement_dropout: float,
        lstm_activation: str,
        dropout: float,
        n_fc: int,
        fc_activation: str,
    ) -> None:
        super().__init__()
        self.statics, self.extra_channels, self.measurement_dropout = (
            statics,
            tuple(extra_channels),
            measurement_dropout,
        )
        width = read_out + statics
        layers = [nn.Linear(width, n_fc), ACTIVATIONS[fc_activation]()] if n_fc else []
        self.hidden = nn.Sequential(ACTIVATIONS[lstm_activation](), nn.Dropout(dropout), *layers)
        self.output = nn.Linear(n_fc or width, 2)
        self.register_buffer("median", torch.zeros(M))
        self.summary = SummaryNetwork(statics, n_summary, dropout) if n_summary else None

    def fit(self, x: Tensor) -> None:
        """Take what is no weight from the training stays x, (N, T, C), before the training starts: the median of each value, where measurements
        are to be hidden, and mean and deviation of each summary."""
        if self.measurement_dropout:
            self.get_buffer("median").copy_(x[..., :M].nan_to_num().flatten(0, 1).median(0).values)
        if self.summary is not None:
            self.summary.fit(*self._summarised(x.nan_to_num()))

    def read_out(self, x: Tensor) -> Tensor:
        """(B, T, C) without NaN → (B, read_out)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        each = self._logits(x)
        return sum(each[1:], each[0]) / len(each)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """What training minimises, a number. Both parts learn for themselves: to fit the mean of their logits, one would leave to the other what it
        can learn itself, and the two would no longer make different errors. y: int64 (B,)."""
        each = [cross_entropy(z, y) for z in self._logits(x)]
        return sum(each[1:], each[0]) / len(each)

    def _logits(self, x: Tensor) -> list[Tensor]:
        """Of the network itself and of what reads the summaries, if anything does, each (B, 2)."""
        x = x.nan_to_num()
        seen = self._hide_measurements(x) if self.training and self.measurement_dropout else x
        logits = [self.output(self.hidden(torch.cat([self.read_out(seen), self._statics(x)], 1)))]
        return logits if self.summary is None else [*logits, self.summary(*self._summarised(x))]

    def _statics(self, x: Tensor) -> Tensor:
        return x[:, 0, x.shape[2] - self.statics :]

    def _summarised(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values, what of them is observed, and statics."""
        first = M * (1 + self.extra_channels.index("observed"))
        return x[..., :M], x[..., first : first + M], self._statics(x)

    def _hide_measurements(self, x: Tensor) -> Tensor:
        hidden = torch.rand(len(x), 1, M, device=x.device) < self.measurement_dropout
        groups = [torch.where(hidden, self.get_buffer("median"), x[..., :M])]
        for i, name in enumerate(self.extra_channels, start=1):
            groups.append(x[..., i * M : (i + 1) * M].masked_fill(hidden, NEVER_OBSERVED[name]))
        return torch.cat([*groups, x[..., M * len(groups) :]], 2)

    def fold_threshold(self, log_odds: float) -> None:
        """Shift the logits so that their argmax decides for death where logit_1 - logit_0 exceeded `log_odds`."""
        with torch.no_grad():
            for part in (self, self.summary):
                if part is not None:
                    part.output.bias[1] -= log_odds


class MortalityLSTM(Network):
    """The literature's network: optional Conv1d over three hours (`conv` filters, ReLU) → bidirectional LSTM.

    The read-out takes the last hidden state of each direction: the forward one has read the bins up to T - 1, the backward one down to bin 0.
    """

    states_read = 2  # vectors of n_lstm numbers in the read-out

    def __init__(
        self, channels: int, statics: int, *, n_lstm: int, conv: int, **standard: Any
    ) -> None:
        super().__init__(statics, self.states_read * n_lstm, **standard)
        self.conv = nn.Conv1d(channels, conv, kernel_size=3, padding=1) if conv else None
        self.lstm = nn.LSTM(conv or channels, n_lstm, batch_first=True, bidirectional=True)

    def states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, C) → both directions' states at every hour, (B, T, 2 n_lstm), and their last ones, (B, 2 n_lstm)."""
        if self.conv is not None:
            x = self.conv(x.transpose(1, 2)).relu().transpose(1, 2)
        hours, (last, _) = self.lstm(x)  # last: (2, B, n_lstm)
        return hours, torch.cat([last[0], last[1]], 1)

    def read_out(self, x: Tensor) -> Tensor:
        return self.states(x)[1]


class PooledLSTM(MortalityLSTM):
    """As MortalityLSTM, of standardised values; the read-out takes the mean of the states over hours too.

    As they come, in [0, 1], values are small beside the other inputs, and a new network hardly reads them.
    """

    states_read = 4

    def read_out(self, x: Tensor) -> Tensor:
        hours, last = self.states(torch.cat([SPREAD * (x[..., :M] - 0.5), x[..., M:]], 2))
        return torch.cat([last, hours.mean(1)], 1)


class GRUD(Network):
    """GRU-D (Che et al. 2018): an unobserved value decays from the last observed one to the training mean, and the hidden state towards 0.

    Of the 57 first channels it reads `observed`, `hours_since_observed` and the observed values, but no filled one; static inputs at every hour.
    """

    def __init__(
        self, channels: int, statics: int, *, n_lstm: int, conv: int, **standard: Any
    ) -> None:
        if channels - statics != 3 * M:
            raise ValueError(
                "GRU-D reads 19 values, their masks and hours since: "
                f"found {channels - statics} channels"
            )
        super().__init__(statics, n_lstm, **standard)
        self.register_buffer("mean", torch.zeros(M))
        self.value_decay = nn.Parameter(
            torch.stack([torch.ones(M), torch.zeros(M)])
        )  # weight and bias: of each value by its own gap alone
        self.state_decay = nn.Linear(M, n_lstm)
        self.cell = nn.GRUCell(2 * M + statics, n_lstm)

    def fit(self, x: Tensor) -> None:
        super().fit(x)
        observed = x[..., M : 2 * M]
        total = (x[..., :M].nan_to_num() * observed).sum((0, 1))
        self.get_buffer("mean").copy_(total / observed.sum((0, 1)).clamp(min=1))

    def read_out(self, x: Tensor) -> Tensor:
        values, observed, since, statics = (
            x[..., :M],
            x[..., M : 2 * M],
            x[..., 2 * M : 3 * M],
            x[..., 3 * M :],
        )
        gap = torch.cat(
            [torch.zeros_like(since[:, :1]), since[:, :-1] + 1 / x.shape[1]], 1
        )  # since the last observation before this hour
        mean = self.get_buffer("mean")
        value_decay = torch.exp(-(gap * self.value_decay[0] + self.value_decay[1]).relu())
        state_decay = torch.exp(-self.state_decay(gap).relu())
        last, state = mean.expand(len(x), M), x.new_zeros(len(x), self.cell.hidden_size)
        for t in range(x.shape[1]):
            seen = observed[:, t]
            decayed = value_decay[:, t] * last + (1 - value_decay[:, t]) * mean
            last = seen * values[:, t] + (1 - seen) * last
            value = seen * values[:, t] + (1 - seen) * decayed
            state = self.cell(torch.cat([value, seen, statics[:, t]], 1), state_decay[:, t] * state)
        return state


ARCHITECTURES: dict[str, type[Network]] = {
    "lstm": MortalityLSTM,
    "pooled_lstm": PooledLSTM,
    "gru_d": GRUD,
}
SHAPE = ("n_lstm", "conv", "extra_channels", *STANDARD)


def build(channels: int, statics: int, model: Model) -> Network:
    """The network of `model`, freshly initialised from torch's global generator. Of C `channels`, the last are `statics`."""
    return ARCHITECTURES[model.architecture](
        channels, statics, **{name: getattr(model, name) for name in SHAPE}
    )
