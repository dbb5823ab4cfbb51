"""The networks by name. A new network is a file of this folder and a line in ARCHITECTURES.

Its name must also be added to `Architecture` in config/model.py, which cannot import torch.
"""

from icu_adversarial.config.model import Architecture, Model
from icu_adversarial.model.networks.base import Network
from icu_adversarial.model.networks.gru_d import GRUD
from icu_adversarial.model.networks.lstm import MortalityLSTM, PooledLSTM

ARCHITECTURES: dict[Architecture, type[Network]] = {
    "lstm": MortalityLSTM,
    "pooled_lstm": PooledLSTM,
    "gru_d": GRUD,
}
# The settings of `model` in params.yaml that every network takes.
SETTINGS = (
    "n_lstm",
    "conv",
    "extra_channels",
    "n_summary",
    "measurement_dropout",
    "readout_activation",
    "dropout",
    "n_fc",
    "fc_activation",
)


def build(channels: int, statics: int, model: Model) -> Network:
    """Create a network, initialised from torch's global random generator.

    Args:
        channels: Number of channels of the input, C.
        statics: Number of static inputs, S: the last of the channels.
        model: The settings.

    Returns:
        The network, in training mode and not fitted.
    """
    settings = {name: getattr(model, name) for name in SETTINGS}
    return ARCHITECTURES[model.architecture](channels, statics, **settings)
