"""Training of one fold: a loop that can stop after any epoch and go on from what it returned, to the same bytes."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from icu_adversarial.features.scaling import Scaler, fit_scaler
from icu_adversarial.files import atomic
from icu_adversarial.model.evaluation import log_loss, rank_scores, sigmoid
from icu_adversarial.model.networks import MortalityLSTM, build
from icu_adversarial.params import Features
from icu_adversarial.processes import prepare_worker

OPTIMIZERS = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}
EVALUATION_BATCH = 256  # larger is slower on a CPU


class Fold(NamedTuple):
    """x: float32 (N, T, C) model input; y: int64 (N,) 1 for death; each for the training and the held-out stays of a fold."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_held_out: np.ndarray
    y_held_out: np.ndarray

    @property
    def log_prior(self) -> float:
        """Log odds of death among the training stays: what balanced batches take out of the logits."""
        deaths = int(self.y_train.sum())
        return float(np.log(deaths / (len(self.y_train) - deaths)))


def make_fold(grid: np.ndarray, died: np.ndarray, held_out: np.ndarray, features: Features) -> tuple[Fold, Scaler]:
    """Fit the scaler on the stays that are not `held_out` (bool (N,)) and apply it to both sides. grid: (N, T, 19); died: (N,)."""
    scaler = fit_scaler(grid[~held_out], **features.model_dump())
    y = died.astype(np.int64)
    return Fold(scaler.apply(grid[~held_out]), y[~held_out], scaler.apply(grid[held_out]), y[held_out]), scaler


@dataclass
class State:
    """Where a training stands. `best` are the weights with the lowest held-out loss; history: one dict per evaluation."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_evaluation(self) -> int:
        """Index into history, -1 before the first finite held-out loss."""
        losses = [h["held_out_loss"] for h in self.history]
        return int(np.argmin(losses)) if losses and np.isfinite(min(losses)) else -1

    def save(self, path: Path) -> None:
        groups = {"weights": self.weights, "optimizer": self.optimizer, "best": self.best}
        with atomic(path) as temporary:
            save_file(
                {f"{group}/{name}": tensor.clone() for group, tensors in groups.items() for name, tensor in tensors.items()},
                temporary,
                metadata={"state": json.dumps({"epoch": self.epoch, "history": self.history})},
            )

    @classmethod
    def load(cls, path: Path) -> "State":
        groups: dict[str, dict[str, Tensor]] = {"weights": {}, "optimizer": {}, "best": {}}
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["state"])
            for name in file.keys():  # noqa: SIM118 (not a dict)
                group, _, tensor = name.partition("/")
                groups[group][tensor] = file.get_tensor(name)
        return cls(groups["weights"], groups["optimizer"], groups["best"], about["epoch"], about["history"])


def seed_of(*parts: int) -> int:
    """One seed from several numbers, e.g. (seed, fold, epoch)."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def start(channels: int, hyperparameters: dict[str, Any], seed: int) -> State:
    torch.manual_seed(seed_of(seed))
    return State(dict(build(channels, hyperparameters).state_dict()))


def advance(state: State, fold: Fold, hyperparameters: dict[str, Any], *, epochs: int, seed: int) -> State:
    """Train for `epochs` more epochs, then evaluate on the held-out stays.

    Batches draw stays with replacement, each outcome equally often; the evaluation never resamples. Every epoch's random numbers come from
    (seed, epoch) alone, so a run that is resumed takes the steps of one that was not. Returns a new state with one more history entry:
    epoch, train_loss (balanced), held_out_loss, auroc, auprc.
    """
    prepare_worker()
    network = build(fold.x_train.shape[2], hyperparameters)
    network.load_state_dict(state.weights)
    optimizer = OPTIMIZERS[hyperparameters["optimizer"]](network.parameters(), lr=hyperparameters["learning_rate"])
    _load_optimizer(optimizer, state.optimizer)
    x, y = torch.from_numpy(fold.x_train), torch.from_numpy(fold.y_train)
    weight = 1.0 / torch.bincount(y, minlength=2)[y]

    network.train()
    for epoch in range(state.epoch, state.epoch + epochs):
        torch.manual_seed(seed_of(seed, epoch))
        total = 0.0
        for batch in torch.split(torch.multinomial(weight, len(y), replacement=True), hyperparameters["batch_size"]):
            loss = cross_entropy(network(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)

    probability = sigmoid(log_odds(network, fold.x_held_out) + fold.log_prior)
    entry = {"epoch": state.epoch + epochs, "train_loss": total / len(y), "held_out_loss": log_loss(fold.y_held_out, probability)}
    auroc, auprc = rank_scores(fold.y_held_out, probability) if np.isfinite(probability).all() else (0.5, 0.0)
    entry |= {"auroc": auroc, "auprc": auprc}
    weights = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    new = State(weights, _save_optimizer(optimizer), state.best, state.epoch + epochs, [*state.history, entry])
    if new.best_evaluation == len(new.history) - 1:
        new.best = weights
    return new


def log_odds(network: MortalityLSTM, x: np.ndarray) -> np.ndarray:
    """logit_1 - logit_0 in evaluation mode, float32 (N,). x: (N, T, C)."""
    z = logits(network, x)
    return z[:, 1] - z[:, 0]


def logits(network: MortalityLSTM, x: np.ndarray) -> np.ndarray:
    """float32 (N, 2) in evaluation mode."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network(batch) for batch in torch.split(torch.from_numpy(x), EVALUATION_BATCH)]).numpy()


def _save_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{i}/{name}": value for i, values in state.items() for name, value in values.items() if isinstance(value, Tensor)}


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    content = copy.copy(optimizer.state_dict())
    content["state"] = {}
    for key, tensor in tensors.items():
        i, _, name = key.partition("/")
        content["state"].setdefault(int(i), {})[name] = tensor.clone()
    optimizer.load_state_dict(content)
