"""Small networks on a small cohort, as the gate reads a run. Another seed makes other networks."""

from functools import cache

import numpy as np
import pandas as pd
import torch
from torch import nn

from icu_adversarial.attack import find_examples
from icu_adversarial.attack.api import DIRECTIONS
from icu_adversarial.model.calibration import cross_fitted
from icu_adversarial.model.scores import best_threshold
from icu_adversarial.tools.revisions import Revision

N, T, M, FOLDS, STEPS = 600, 4, 5, 5, 60
OBJECTIVE = "robust_l0"
CAP = 0.2  # the largest change of a value, so that most flips need several
SETTINGS = {"iterations": 20, "starts": 1}


@cache
def cohort() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Values (N, T, M), outcome (N,), fold (N,). The values of the dead are a little higher."""
    rng = np.random.default_rng(0)
    died = rng.random(N) < 0.3
    x = rng.normal(0.4, 0.12, (N, T, M))
    x += 0.06 * died[:, None, None]
    fold = np.arange(N) % FOLDS
    return torch.from_numpy(x.clip(0, 1)).float(), torch.from_numpy(died).long(), fold


def network(hours: int = T) -> nn.Module:
    """Reads the last `hours` of the window."""
    return nn.Sequential(LastHours(hours), nn.Linear(hours * M, 16), nn.Tanh(), nn.Linear(16, 2))


class LastHours(nn.Module):
    """Flattens and standardises them."""

    def __init__(self, hours: int) -> None:
        super().__init__()
        self.hours = hours

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, -self.hours :].flatten(1) - 0.4) / 0.12


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.01)
    for _ in range(STEPS):
        batch = torch.randint(len(x), (64,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    return model.eval()


def run(seed: int, *, wrong_labels: float = 0.0, hours: int = T) -> Revision:
    """Train a network for each fold, predict its stays, and attack those that it gets right.

    wrong_labels: share of the training labels that are drawn again. hours: how many are read.
    """
    x, y, fold = cohort()
    models, z = [], np.zeros((N, 2))
    for k in range(FOLDS):
        torch.manual_seed(1000 * seed + k)
        learn = torch.from_numpy(fold != k)
        labels = torch.where(torch.rand(N) < wrong_labels, y[torch.randperm(N)], y)
        models.append(train(network(hours), x[learn], labels[learn], 1000 * seed + k))
        with torch.no_grad():
            z[fold == k] = models[k](x[fold == k]).numpy()
    died = y.numpy().astype(bool)
    threshold = best_threshold(died, z[:, 1] - z[:, 0])
    z[:, 1] -= threshold
    for model in models:
        model[-1].bias.data[1] -= threshold
    stays = pd.DataFrame({"stay_id": np.arange(N), "subject_id": np.arange(N), "fold": fold})
    stays = stays.assign(
        split="oof",
        died=died,
        probability=cross_fitted(z[:, 1] - z[:, 0], died, fold),
        logit_0=z[:, 0],
        logit_1=z[:, 1],
    )
    attacks = {OBJECTIVE: attacked(models, z)}
    return Revision(f"run {seed}", stays.set_index("stay_id"), attacks, {"attack.iterations": 20})


def attacked(models: list[nn.Module], z: np.ndarray) -> pd.DataFrame:
    """The best examples of the stays that the networks get right, every second one."""
    x, y, fold = cohort()
    right = (z.argmax(1) == y.numpy()) & (np.arange(N) % 2 == 0)
    parts = []
    for k, model in enumerate(models):
        own = np.flatnonzero(right & (fold == k))
        limits = {"lower": x[own] - CAP, "upper": x[own] + CAP}
        _, best = find_examples(model, x[own], y[own], method="l0", **limits, **SETTINGS)
        size = best.perturbation.abs().flatten(1)
        parts.append(
            pd.DataFrame(
                {
                    "stay_id": own,
                    "fold": k,
                    "direction": np.array(DIRECTIONS)[y[own]],
                    "success": (best.iteration >= 0).numpy(),
                    "l0": (size > 1e-6).sum(1).numpy(),
                    "l1": size.sum(1).numpy(),
                }
            )
        )
    return pd.concat(parts).set_index("stay_id")
