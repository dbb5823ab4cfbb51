"""The recurrent network of SPEC §5, and its form on disk (safetensors and JSON)."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from icu_adversarial.errors import InputError
from icu_adversarial.files import atomic, read_json, write_json

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class MortalityLSTM(nn.Module):
    """Bidirectional LSTM(n_lstm) → activation → dropout → Linear(n_fc) → activation → Linear(2).

    Input (B, T, C), where NaN (a value not observed and not filled) is read as 0; output logits (B, 2), column 1 for death. The read-out takes the
    last hidden state of each direction: the forward one has read the bins up to T - 1, the backward one down to bin 0.
    """

    def __init__(self, channels: int, *, n_lstm: int, lstm_activation: str, dropout: float, n_fc: int, fc_activation: str) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, n_lstm, batch_first=True, bidirectional=True)
        self.hidden = nn.Sequential(ACTIVATIONS[lstm_activation](), nn.Dropout(dropout), nn.Linear(2 * n_lstm, n_fc), ACTIVATIONS[fc_activation]())
        self.output = nn.Linear(n_fc, 2)

    def forward(self, x: Tensor) -> Tensor:
        _, (last, _) = self.lstm(x.nan_to_num())  # (2, B, n_lstm)
        logits: Tensor = self.output(self.hidden(torch.cat([last[0], last[1]], dim=1)))
        return logits

    def fold_threshold(self, log_odds: float) -> None:
        """Shift the logits so that their argmax decides for death where logit_1 - logit_0 exceeded `log_odds`."""
        with torch.no_grad():
            self.output.bias[1] -= log_odds


ARCHITECTURE = ("n_lstm", "lstm_activation", "dropout", "n_fc", "fc_activation")


def build(channels: int, hyperparameters: dict[str, Any]) -> MortalityLSTM:
    """The network of these hyperparameters, freshly initialised from torch's global generator."""
    return MortalityLSTM(channels, **{name: hyperparameters[name] for name in ARCHITECTURE})


def save_model(folder: Path, network: MortalityLSTM, channels: int, hyperparameters: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write model.safetensors and model.json: architecture, and `facts` about the training that a reader of the model may need."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / "model.safetensors") as temporary:
        save_file(network.state_dict(), temporary)
    write_json(folder / "model.json", {"channels": channels, **{name: hyperparameters[name] for name in ARCHITECTURE}, **facts})


def load_model(folder: Path) -> MortalityLSTM:
    """The network in `folder`, in evaluation mode, with the validation threshold folded into its logits. Raises InputError if it is not one."""
    about = read_json(folder / "model.json")
    network = build(about["channels"], about)
    try:
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{folder / 'model.safetensors'} does not hold the network of model.json ({str(error).splitlines()[0]}): run `dvc repro`"
        ) from None
    return network.eval()
