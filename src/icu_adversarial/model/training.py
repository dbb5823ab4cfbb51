"""Training of one fold, a few epochs at a time.

A training can stop after any call of `advance` and continue from the returned state, with the same
bytes. `folds` and `tuning` call it.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from icu_adversarial.config.model import Model
from icu_adversarial.core.parallel import prepare_worker
from icu_adversarial.model.fold_data import Fold
from icu_adversarial.model.networks.base import Network
from icu_adversarial.model.networks.registry import build
from icu_adversarial.model.optimizers import OPTIMIZERS, load_optimizer, one_cycle, optimizer_state
from icu_adversarial.model.scores import log_loss, rank_scores, sigmoid
from icu_adversarial.model.state import TrainingState

EVALUATION_BATCH = 256  # stays; larger batches are slower on a CPU


def seed_of(*parts: int) -> int:
    """Make one seed from several numbers, for example (seed, fold, epoch)."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def start(fold: Fold, model: Model, seed: int) -> TrainingState:
    """Create a network and fit what is not learned.

    Args:
        fold: The data. Only its training stays are used.
        model: The settings of the network.
        seed: Seed of the first weights.

    Returns:
        The state before the first epoch.
    """
    torch.manual_seed(seed_of(seed))
    network = build(fold.channels, fold.statics, model)
    network.fit(torch.from_numpy(fold.x_train))
    return TrainingState(dict(network.state_dict()))


def advance(
    state: TrainingState, fold: Fold, model: Model, *, epochs: int, of: int, seed: int
) -> TrainingState:
    """Train for some more epochs, then evaluate on the held-out stays.

    The random numbers of an epoch depend on (seed, epoch) alone, so that a resumed training takes
    the same steps.

    Args:
        state: Where to continue; it is not changed.
        fold: The data.
        model: The settings of the network and of its training.
        epochs: How many epochs to train.
        of: Number of epochs of the whole learning-rate schedule.
        seed: Seed of the batches and of dropout.

    Returns:
        A new state with one more entry in its history: epoch, train_loss (mean over the batches of
        the last epoch), held_out_loss, auroc, auprc and, with validation stays, validation_loss.
    """
    prepare_worker()
    network, optimizer = _restore(state, fold, model)
    until = state.epoch + epochs
    x, y = (torch.from_numpy(array).to(training_device()) for array in (fold.x_train, fold.y_train))
    network.train()
    for epoch in range(state.epoch, until):
        torch.manual_seed(seed_of(seed, epoch))
        total = _train_epoch(network, optimizer, x, y, model, epoch, of)
    entry = {"epoch": until, "train_loss": float(total) / len(y)}
    entry |= _evaluate(network, fold, fold.prior_shift(model))
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    history = [*state.history, entry]
    new = TrainingState(weights, optimizer_state(optimizer), state.best, until, history)
    if new.best_evaluation == len(new.history) - 1:
        new.best = weights
    return new


def _restore(
    state: TrainingState, fold: Fold, model: Model
) -> tuple[Network, torch.optim.Optimizer]:
    """The network and its optimizer as they were in a state."""
    network = build(fold.channels, fold.statics, model).to(training_device())
    network.load_state_dict(state.weights)
    # Only AdamW decays the weights themselves. In the others, weight_decay is a penalty.
    decay = model.weight_decay if model.optimizer == "adam" else 0.0
    optimizer = OPTIMIZERS[model.optimizer](
        network.parameters(), lr=model.learning_rate, weight_decay=decay
    )
    load_optimizer(optimizer, state.optimizer)
    return network, optimizer


def _train_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    model: Model,
    epoch: int,
    of: int,
) -> Tensor:
    """Train for one epoch on x, (N, T, C), and y, (N,). Returns the sum of the stays' losses.

    The sum stays on the device, so that a GPU need not wait for the CPU after each batch.
    """
    batches = -(-len(y) // model.batch_size)
    total = torch.zeros((), device=x.device)
    for step, batch in enumerate(torch.split(_order(y, model.sampling), model.batch_size)):
        if model.schedule == "one_cycle":
            progress = (epoch * batches + step) / max(of * batches - 1, 1)
            for group in optimizer.param_groups:
                group["lr"] = model.learning_rate * one_cycle(progress)
        loss = network.loss(x[batch], y[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if model.max_gradient is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), model.max_gradient)
        optimizer.step()
        total += loss.detach() * len(batch)
    return total


def _order(y: Tensor, sampling: str) -> Tensor:
    """The stays of an epoch in the order of its batches, int64 (N,). y: (N,).

    `natural` is a permutation of the stays. `balanced` draws stays with replacement, each outcome
    equally often.
    """
    if sampling == "natural":
        return torch.randperm(len(y), device=y.device)
    weight = 1.0 / torch.bincount(y, minlength=2)[y]
    return torch.multinomial(weight, len(y), replacement=True)


def _evaluate(network: Network, fold: Fold, shift: float) -> dict[str, float]:
    """The scores of `advance` on the held-out and validation stays. shift: Fold.prior_shift."""
    z = log_odds(network, fold.x_held_out) + shift
    auroc, auprc = rank_scores(fold.y_held_out, z) if np.isfinite(z).all() else (0.5, 0.0)
    scored = {
        "held_out_loss": log_loss(fold.y_held_out, sigmoid(z)),
        "auroc": auroc,
        "auprc": auprc,
    }
    if fold.x_validation is not None and fold.y_validation is not None:
        probability = sigmoid(log_odds(network, fold.x_validation) + shift)
        scored["validation_loss"] = log_loss(fold.y_validation, probability)
    return scored


def training_device() -> torch.device:
    """The GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def log_odds(network: Network, x: Float[np.ndarray, "N T C"]) -> Float[np.ndarray, " N"]:
    """logit_1 - logit_0 in evaluation mode, float32."""
    z = logits(network, x)
    return z[:, 1] - z[:, 0]


def logits(network: Network, x: Float[np.ndarray, "N T C"]) -> Float[np.ndarray, "N 2"]:
    """The logits in evaluation mode, float32. Column 1 is for death."""
    network.eval()
    device = next(network.parameters()).device
    with torch.no_grad():
        batches = torch.split(torch.from_numpy(x), EVALUATION_BATCH)
        return torch.cat([network(batch.to(device)) for batch in batches]).cpu().numpy()
