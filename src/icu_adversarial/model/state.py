"""Where the training of one fold is: its weights, its optimizer and its history. A checkpoint."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from icu_adversarial.core.io import read_sealed, write_sealed


@dataclass
class TrainingState:
    """What `training.advance` continues from.

    weights: The state_dict of the network.
    optimizer: The optimizer's tensors, as in `optimizers.optimizer_state`.
    best: The weights with the lowest validation loss so far, or held-out loss without validation
        stays. Empty before the first finite loss.
    epoch: Number of epochs that are done.
    history: The scores of each evaluation, as in `training.advance`.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_evaluation(self) -> int:
        """Index of `best` in the history; -1 before the first finite loss."""
        losses = np.array([h.get("validation_loss", h["held_out_loss"]) for h in self.history])
        return int(np.nanargmin(losses)) if np.isfinite(losses).any() else -1

    def save(self, path: Path) -> None:
        """Store this state in `path`, with a checksum."""
        groups = {"weights": self.weights, "optimizer": self.optimizer, "best": self.best}
        tensors = {
            f"{group}/{name}": tensor.clone()
            for group, tensors in groups.items()
            for name, tensor in tensors.items()
        }
        about = json.dumps({"epoch": self.epoch, "history": self.history})
        tensors["about"] = torch.tensor(list(about.encode()), dtype=torch.uint8)
        write_sealed(path, save(tensors))

    @classmethod
    def load(cls, path: Path) -> "TrainingState | None":
        """Read what `save` stored.

        Args:
            path: The checkpoint.

        Returns:
            The state. None if `path` holds none, or a damaged one, which is then discarded.
        """
        content = read_sealed(path)
        if content is None:
            return None
        tensors = load(content)
        about = json.loads(bytes(tensors.pop("about").tolist()))
        groups: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "best": {}}
        for name, tensor in tensors.items():
            group, _, own = name.partition("/")
            groups[group][own] = tensor
        return cls(**groups, epoch=about["epoch"], history=about["history"])
