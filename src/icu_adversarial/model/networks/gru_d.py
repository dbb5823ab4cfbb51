"""GRU-D: a recurrent network for series with missing values.

Che et al. 2018, Recurrent neural networks for multivariate time series with missing values,
Scientific Reports 8:6085.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from icu_adversarial.model.networks.base import Network


class GRUD(Network):
    """A GRU whose missing inputs and hidden state decay with the time since the last observation.

    An input decays from the last observed value to the mean of the training stays, the hidden
    state to 0. The network reads the observed values, `observed` and `hours_since_observed`, and
    the static inputs at every hour. It reads no filled value.
    """

    def __init__(
        self, channels: int, statics: int, *, n_lstm: int, conv: int, **shared: Any
    ) -> None:
        """Create the layers.

        Args:
            channels: Number of channels of the input, C = 3 M + S.
            statics: Number of static inputs among them, S.
            n_lstm: Hidden units.
            conv: Must be 0; params.yaml is checked for it.
            shared: Arguments of `Network`.

        Raises:
            ValueError: C is not 3 M + S.
        """
        super().__init__(channels, statics, n_lstm, **shared)
        m = self.measurements
        if channels - statics != 3 * m:
            raise ValueError(
                "GRU-D reads values, their masks and hours since: "
                f"found {channels - statics} channels"
            )
        self.register_buffer("mean", torch.zeros(m))
        # Weight and bias. The decay of each value depends on its own gap alone.
        self.value_decay = nn.Parameter(torch.stack([torch.ones(m), torch.zeros(m)]))
        self.state_decay = nn.Linear(m, n_lstm)
        self.cell = nn.GRUCell(2 * m + statics, n_lstm)

    def fit(self, x: Float[Tensor, "N T C"]) -> None:
        """As `Network.fit`; also set the mean of the observed values of each measurement."""
        super().fit(x)
        observed = x[..., self.measurements : 2 * self.measurements]
        total = (self._values(x).nan_to_num() * observed).sum((0, 1))
        self.get_buffer("mean").copy_(total / observed.sum((0, 1)).clamp(min=1))

    def read_out(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B R"]:
        """The hidden state after the last hour. R is n_lstm."""
        m = self.measurements
        values, observed, since = (x[..., i * m : (i + 1) * m] for i in range(3))
        statics = x[..., 3 * m :]
        # The time since the last observation before this hour, as a share of the window.
        gap = torch.cat([torch.zeros_like(since[:, :1]), since[:, :-1] + 1 / x.shape[1]], 1)
        mean = self.get_buffer("mean")
        value_decay = torch.exp(-(gap * self.value_decay[0] + self.value_decay[1]).relu())
        state_decay = torch.exp(-self.state_decay(gap).relu())
        last, state = mean.expand(len(x), m), x.new_zeros(len(x), self.cell.hidden_size)
        for t in range(x.shape[1]):
            seen = observed[:, t]
            decayed = value_decay[:, t] * last + (1 - value_decay[:, t]) * mean
            last = seen * values[:, t] + (1 - seen) * last
            value = seen * values[:, t] + (1 - seen) * decayed
            state = self.cell(torch.cat([value, seen, statics[:, t]], 1), state_decay[:, t] * state)
        return state
