"""What all networks share: the static inputs, the layers after the read-out, and the loss.

A network is a subclass of `Network` in a file of its own, with a line in `registry.ARCHITECTURES`.
The shapes use B for samples, T for hours, M for measurements, C for channels, S for static inputs.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from icu_adversarial.model.networks.summary import SummaryNetwork

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
# What an extra channel holds for a measurement that was never observed.
NEVER_OBSERVED = {"observed": 0.0, "hours_since_observed": 1.0}


class Network(nn.Module):
    """Read-out and static inputs → activation → dropout → optional dense layer → two logits.

    A subclass computes the read-out, one vector for each sample. With `n_summary` units, a
    SummaryNetwork reads the same stays, and the logits are the mean of both networks' logits.

    In training, each measurement of each stay is hidden with probability `measurement_dropout`:
    its values become the median of the training stays, and its extra channels those of a
    measurement that was never observed. Both networks then read the same measurements.
    """

    def __init__(
        self,
        channels: int,
        statics: int,
        read_out: int,
        *,
        extra_channels: Sequence[str],
        n_summary: int,
        measurement_dropout: float,
        readout_activation: str,
        dropout: float,
        n_fc: int,
        fc_activation: str,
    ) -> None:
        """Create the shared layers.

        Args:
            channels: Number of channels of the input, C.
            statics: Number of static inputs, S. They are the last channels of the input.
            read_out: Length of the read-out of the subclass.
            extra_channels: Names of the extra channels, in their order. Each has M channels, which
                follow the M values.
            n_summary: Units of the SummaryNetwork; 0 for none.
            measurement_dropout: Probability of hiding a measurement in training, in [0, 1).
            readout_activation: Activation of the read-out, a name in ACTIVATIONS.
            dropout: Probability of dropping an element of the read-out in training, in [0, 1).
            n_fc: Units of the dense layer; 0 for none.
            fc_activation: Activation of the dense layer, a name in ACTIVATIONS.
        """
        super().__init__()
        self.extra_channels = tuple(extra_channels)
        self.statics = statics
        self.measurements = (channels - statics) // (1 + len(self.extra_channels))  # M
        self.measurement_dropout = measurement_dropout
        width = read_out + statics
        layers = [nn.Linear(width, n_fc), ACTIVATIONS[fc_activation]()] if n_fc else []
        self.hidden = nn.Sequential(ACTIVATIONS[readout_activation](), nn.Dropout(dropout), *layers)
        self.output = nn.Linear(n_fc or width, 2)
        self.register_buffer("median", torch.zeros(self.measurements))
        summary = (self.measurements, statics, n_summary, dropout)
        self.summary = SummaryNetwork(*summary) if n_summary else None

    def fit(self, x: Float[Tensor, "N T C"]) -> None:
        """Set the constants that are not learned. Call this once, before the training starts.

        They are the median of each measurement, if measurements are hidden in training, and the
        mean and standard deviation of each summary.

        Args:
            x: Model input of the training stays; NaN = not observed and not filled.
        """
        if self.measurement_dropout:
            self.get_buffer("median").copy_(
                self._values(x).nan_to_num().flatten(0, 1).median(0).values
            )
        if self.summary is not None:
            self.summary.fit(*self._summarised(x.nan_to_num()))

    def read_out(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B R"]:
        """Summarise the hours of each sample in one vector. x has no NaN."""
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B 2"]:
        """Compute the logits.

        Args:
            x: M values in [0, 1], M channels for each of `extra_channels`, and the static inputs,
                which are the same at every hour. NaN (not observed and not filled) is read as 0.

        Returns:
            The logits. Column 1 is for death.
        """
        each = self._logits(x)
        return sum(each[1:], each[0]) / len(each)

    def loss(self, x: Float[Tensor, "B T C"], y: Int[Tensor, " B"]) -> Float[Tensor, ""]:
        """Compute the mean cross-entropy that training minimises.

        Each of the two networks has its own loss. Training on the mean of their logits would
        correlate their errors.

        Args:
            x: As for `forward`.
            y: The outcome, 1 for death.

        Returns:
            The mean of the networks' losses.
        """
        each = [cross_entropy(z, y) for z in self._logits(x)]
        return sum(each[1:], each[0]) / len(each)

    def fold_threshold(self, log_odds: float) -> None:
        """Shift the logits so that their argmax is death where logit_1 - logit_0 was above
        `log_odds`."""
        with torch.no_grad():
            for part in (self, self.summary):
                if part is not None:
                    part.output.bias[1] -= log_odds

    def _logits(self, x: Tensor) -> list[Tensor]:
        """The logits of this network and, if there is one, of the SummaryNetwork, each (B, 2)."""
        x = x.nan_to_num()
        seen = self._hide_measurements(x) if self.training and self.measurement_dropout else x
        logits = [self.output(self.hidden(torch.cat([self.read_out(seen), self._statics(x)], 1)))]
        return logits if self.summary is None else [*logits, self.summary(*self._summarised(seen))]

    def _values(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, M)."""
        return x[..., : self.measurements]

    def _statics(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, S)."""
        return x[:, 0, x.shape[2] - self.statics :]

    def _summarised(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The values and which of them are observed, each (B, T, M), and the statics, (B, S)."""
        m = self.measurements
        first = m * (1 + self.extra_channels.index("observed"))
        return self._values(x), x[..., first : first + m], self._statics(x)

    def _hide_measurements(self, x: Tensor) -> Tensor:
        """Draw the measurements to hide and replace their channels. (B, T, C) → (B, T, C)."""
        m = self.measurements
        hidden = torch.rand(len(x), 1, m, device=x.device) < self.measurement_dropout
        groups = [torch.where(hidden, self.get_buffer("median"), self._values(x))]
        for i, name in enumerate(self.extra_channels, start=1):
            groups.append(x[..., i * m : (i + 1) * m].masked_fill(hidden, NEVER_OBSERVED[name]))
        return torch.cat([*groups, x[..., m * len(groups) :]], 2)
