"""The network of the literature, a bidirectional LSTM, and a variant that also pools the hours."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from icu_adversarial.model.networks.base import Network

SPREAD = 10.0  # PooledLSTM multiplies the values by this


class MortalityLSTM(Network):
    """Optional convolution over three hours with ReLU → bidirectional LSTM.

    The read-out is the last hidden state of each direction. The forward state has read the hours
    0 to T - 1, the backward state the hours T - 1 to 0.
    """

    states_read = 2  # vectors of n_lstm numbers in the read-out

    def __init__(
        self, channels: int, statics: int, *, n_lstm: int, conv: int, **shared: Any
    ) -> None:
        """Create the layers.

        Args:
            channels: Number of channels of the input, C.
            statics: Number of static inputs among them, S.
            n_lstm: Hidden units of each direction.
            conv: Filters of the convolution; 0 for none.
            shared: Arguments of `Network`.
        """
        super().__init__(channels, statics, self.states_read * n_lstm, **shared)
        self.conv = nn.Conv1d(channels, conv, kernel_size=3, padding=1) if conv else None
        self.lstm = nn.LSTM(conv or channels, n_lstm, batch_first=True, bidirectional=True)

    def states(
        self, x: Float[Tensor, "B T C"]
    ) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B H"]]:
        """The states of both directions at every hour, and the last state of each direction.

        H is twice n_lstm.
        """
        if self.conv is not None:
            x = self.conv(x.transpose(1, 2)).relu().transpose(1, 2)
        hours, (last, _) = self.lstm(x)  # last: (2, B, n_lstm)
        return hours, torch.cat([last[0], last[1]], 1)

    def read_out(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B R"]:
        """The last states. R is twice n_lstm."""
        return self.states(x)[1]


class PooledLSTM(MortalityLSTM):
    """MortalityLSTM with centred values, and the mean of the states over the hours in the read-out.

    The values lie in [0, 1] and are small compared with the other inputs. Without centring and
    scaling, a new network hardly reads them.
    """

    states_read = 4

    def read_out(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B R"]:
        """The last states and the mean states. R is four times n_lstm."""
        values, others = self._values(x), x[..., self.measurements :]
        hours, last = self.states(torch.cat([SPREAD * (values - 0.5), others], 2))
        return torch.cat([last, hours.mean(1)], 1)
