"""Training of one fold: a loop that can stop after any epoch and go on from what it returned, to the same bytes."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load, save
from torch import Tensor

from icu_adversarial.config.features import Features
from icu_adversarial.config.model import Model
from icu_adversarial.core.io import read_sealed, write_sealed
from icu_adversarial.core.parallel import prepare_worker
from icu_adversarial.features.scaling import Scaler, fit_scaler
from icu_adversarial.model.networks.base import Network
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.optimizers import OPTIMIZERS, load_optimizer, one_cycle, optimizer_state
from icu_adversarial.model.scores import log_loss, rank_scores, sigmoid

EVALUATION_BATCH = 256  # larger is slower on a CPU


class Fold(NamedTuple):
    """One fold's stays: those that train the weights, those that score them, and, for a model that
    keeps its best weights, those that choose the epoch.

    x: float32 (N, T, C) model input, of which the last `statics` channels are the same at every
    hour; y: int64 (N,), 1 for death. Without validation stays, the held-out ones choose the epoch.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_held_out: np.ndarray
    y_held_out: np.ndarray
    statics: int = 0
    x_validation: np.ndarray | None = None
    y_validation: np.ndarray | None = None

    @property
    def channels(self) -> int:
        """C."""
        return self.x_train.shape[2]

    def prior_shift(self, model: Model) -> float:
        """What balanced batches take out of the logits: the log odds of death among the training stays; 0 for natural ones."""
        deaths = int(self.y_train.sum())
        return (
            float(np.log(deaths / (len(self.y_train) - deaths)))
            if model.sampling == "balanced"
            else 0.0
        )


def make_fold(
    grid: np.ndarray,
    stays: pd.DataFrame,
    held_out: np.ndarray,
    features: Features,
    model: Model,
    learn: np.ndarray | None = None,
    validation: np.ndarray | None = None,
) -> tuple[Fold, Scaler]:
    """Fit the scaler on the training stays and apply it to all stays of the fold.

    Args:
        grid: (N, T, 19).
        stays: Their rows of tables.COHORT.
        held_out: The stays that score the model, (N,) bool.
        features: How the scaler is fitted.
        model: Which channels the network reads.
        learn: The training stays, (N,) bool; by default all that are not held out.
        validation: The stays that choose the epoch, (N,) bool, none of them in learn.

    Returns:
        The fold and its scaler.
    """
    learn = ~held_out if learn is None else learn
    scaler = fit_scaler(
        grid[learn],
        stays[learn],
        extra_channels=model.extra_channels,
        static_inputs=model.static_inputs,
        **features.model_dump(),
    )
    y = stays["died"].to_numpy().astype(np.int64)
    x_train, x_held_out = (
        scaler.apply(grid[chosen], stays[chosen]) for chosen in (learn, held_out)
    )
    fold = Fold(x_train, y[learn], x_held_out, y[held_out], scaler.statics.size)
    if validation is not None:
        x_validation = scaler.apply(grid[validation], stays[validation])
        fold = fold._replace(x_validation=x_validation, y_validation=y[validation])
    return fold, scaler


@dataclass
class State:
    """Where a training stands. `best` are the weights with the lowest validation loss (held-out
    loss without validation stays); history: one dict per evaluation."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best_evaluation(self) -> int:
        """Index into history, -1 before the first finite loss."""
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
    def load(cls, path: Path) -> "State | None":
        """Read what `save` stored.

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


def seed_of(*parts: int) -> int:
    """One seed from several numbers, e.g. (seed, fold, epoch)."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def start(fold: Fold, model: Model, seed: int) -> State:
    torch.manual_seed(seed_of(seed))
    network = build(fold.channels, fold.statics, model)
    network.fit(torch.from_numpy(fold.x_train))
    return State(dict(network.state_dict()))


def advance(state: State, fold: Fold, model: Model, *, epochs: int, of: int, seed: int) -> State:
    """Train for `epochs` more epochs of the schedule's `of`, then evaluate on the held-out stays.

    Balanced batches draw stays with replacement, each outcome equally often; natural ones are a
    permutation of the stays; the evaluation never resamples. Every epoch's random numbers come
    from (seed, epoch) alone, so a resumed run takes the same steps. On a GPU, the data and the
    losses stay there until the last epoch is done. model: its settings.

    Returns:
        A new state with one more history entry: epoch, train_loss (of the batches),
        held_out_loss, auroc, auprc and, with validation stays, validation_loss.
    """
    prepare_worker()
    device = training_device()
    network = build(fold.channels, fold.statics, model).to(device)
    network.load_state_dict(state.weights)
    # the other optimizers' decay is a penalty in the gradient, another thing
    decay = model.weight_decay if model.optimizer == "adam" else 0.0
    optimizer = OPTIMIZERS[model.optimizer](
        network.parameters(), lr=model.learning_rate, weight_decay=decay
    )
    load_optimizer(optimizer, state.optimizer)
    x, y = torch.from_numpy(fold.x_train).to(device), torch.from_numpy(fold.y_train).to(device)
    weight = 1.0 / torch.bincount(y, minlength=2)[y]
    batches = -(-len(y) // model.batch_size)

    network.train()
    for epoch in range(state.epoch, state.epoch + epochs):
        torch.manual_seed(seed_of(seed, epoch))
        natural = model.sampling == "natural"
        order = (
            torch.randperm(len(y), device=device)
            if natural
            else torch.multinomial(weight, len(y), replacement=True)
        )
        total = torch.zeros((), device=device)
        for step, batch in enumerate(torch.split(order, model.batch_size)):
            if model.schedule == "one_cycle":
                for group in optimizer.param_groups:
                    group["lr"] = model.learning_rate * one_cycle(
                        (epoch * batches + step) / max(of * batches - 1, 1)
                    )
            loss = network.loss(x[batch], y[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if model.max_gradient is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), model.max_gradient)
            optimizer.step()
            total += loss.detach() * len(batch)

    shift = fold.prior_shift(model)
    z = log_odds(network, fold.x_held_out) + shift
    entry = {
        "epoch": state.epoch + epochs,
        "train_loss": float(total) / len(y),
        "held_out_loss": log_loss(fold.y_held_out, sigmoid(z)),
    }
    auroc, auprc = rank_scores(fold.y_held_out, z) if np.isfinite(z).all() else (0.5, 0.0)
    entry |= {"auroc": auroc, "auprc": auprc}
    if fold.x_validation is not None and fold.y_validation is not None:
        probability = sigmoid(log_odds(network, fold.x_validation) + shift)
        entry["validation_loss"] = log_loss(fold.y_validation, probability)
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    history = [*state.history, entry]
    new = State(weights, optimizer_state(optimizer), state.best, state.epoch + epochs, history)
    if new.best_evaluation == len(new.history) - 1:
        new.best = weights
    return new


def training_device() -> torch.device:
    """A GPU, if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def log_odds(network: Network, x: np.ndarray) -> np.ndarray:
    """logit_1 - logit_0 in evaluation mode, float32 (N,). x: (N, T, C)."""
    z = logits(network, x)
    return z[:, 1] - z[:, 0]


def logits(network: Network, x: np.ndarray) -> np.ndarray:
    """float32 (N, 2) in evaluation mode."""
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(x), EVALUATION_BATCH)
        return torch.cat([network(batch.to(device)) for batch in batches]).cpu().numpy()
