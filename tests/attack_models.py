"""Victims whose optimal attacks are known: linear models in closed form, small networks by enumeration; and a count of what a search asks of them."""

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import torch
from torch import Tensor, nn

Logits = Callable[[Tensor], Tensor]


class Counted:
    """A model that counts the samples it sees, forward and with a gradient."""

    def __init__(self, model: Logits) -> None:
        self.model, self.forward, self.gradients = model, 0, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.forward += len(x)
        self.gradients += len(x) if x.requires_grad else 0
        return self.model(x)


def linear(weight: Tensor, bias: float) -> Logits:
    """Logits (-z, z) / 2 with z = weight . x + bias."""

    def logits(x: Tensor) -> Tensor:
        z = (x.flatten(1) * weight).sum(1) + bias
        return torch.stack([-z, z], 1) / 2

    return logits


def linear_case(
    batch: int, hours: int, channels: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Logits]:
    """x, y, weight and logits of a linear model whose decisions are mixed."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(hours * channels, generator=generator)
    x = torch.rand(batch, hours, channels, generator=generator)
    model = linear(weight, -float(weight.sum()) / 2)
    return x, model(x).argmax(1), weight, model


def two_layers(batch: int, hours: int, channels: int, seed: int) -> tuple[Tensor, Tensor, Logits]:
    """x, y and logits of tanh(x W) v, centred, so that decisions are mixed."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(hours * channels, 8, generator=generator) * 0.7
    second = torch.randn(8, generator=generator)
    x = torch.rand(batch, hours, channels, generator=generator)
    centre = (torch.tanh((x.flatten(1) - 0.5) @ first) @ second).median()

    def logits(x: Tensor) -> Tensor:
        z = torch.tanh((x.flatten(1) - 0.5) @ first) @ second - centre
        return torch.stack([-z, z], 1) / 2

    return x, logits(x).argmax(1), logits


class Calibrated(nn.Module):
    """A network whose logits are centred and scaled by `calibrate`."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 2)
        self.scale, self.centre = 1.0, torch.zeros(2)

    def read_out(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, width)."""
        out: Tensor = self.body(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.scale * (self.head(self.read_out(x)) - self.centre)
        return logits

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> Tensor:
        """Centre and scale the logits so that about half of x is of each class, with margins of about 1. Returns the classes."""
        raw = self(x)
        self.centre, self.scale = raw.mean(0), 1 / float((raw[:, 1] - raw[:, 0]).std())
        return self(x).argmax(1)


class Recurrent(Calibrated):
    """A bidirectional LSTM as ours."""

    def __init__(self, channels: int, width: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__(nn.LSTM(channels, width, batch_first=True, bidirectional=True), 2 * width)

    def read_out(self, x: Tensor) -> Tensor:
        _, (last, _) = self.body(x)
        return torch.cat([last[0], last[1]], 1)


class FeedForward(Calibrated):
    """One hidden layer. It runs in bfloat16 on every CPU, which an LSTM does not."""

    def __init__(self, inputs: int, width: int) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Sequential(nn.Flatten(1), nn.Linear(inputs, width), nn.Tanh()), width)


def box(x: Tensor) -> dict[str, Tensor]:
    return {"lower": torch.zeros_like(x), "upper": torch.ones_like(x)}


def margins(model: Logits, x: Tensor, y: Tensor) -> Tensor:
    z = model(x)
    return z[torch.arange(len(y)), y] - z[torch.arange(len(y)), 1 - y]


def smallest_l1(x: Tensor, y: Tensor, weight: Tensor, margin: Tensor) -> np.ndarray:
    """Of a linear model: fill the cells in the order of their weight, each up to its end, until the margin is used up. inf where it never is."""
    results = []
    for gains, weights, need in _gains(x, y, weight, margin):
        total = 0.0
        for gain, w in sorted(zip(gains, weights, strict=True), key=lambda cell: -cell[1]):
            step = min(gain, need) / w
            total, need = total + step, need - step * w
        results.append(total if need < 1e-9 else np.inf)
    return np.array(results)


def smallest_l0(x: Tensor, y: Tensor, weight: Tensor, margin: Tensor) -> np.ndarray:
    """Of a linear model: the cells that gain most, each at its end, until the margin is used up. inf where it never is."""
    results = []
    for gains, _, need in _gains(x, y, weight, margin):
        reached = np.cumsum(sorted(gains, reverse=True))
        results.append(1 + np.argmax(reached > need) if reached[-1] > need else np.inf)
    return np.array(results)


def _gains(
    x: Tensor, y: Tensor, weight: Tensor, margin: Tensor
) -> list[tuple[list[float], list[float], float]]:
    """Per sample: the margin that each cell can take away, its weight without sign, and the margin to take away."""
    size = weight.abs().tolist()
    room = torch.where((weight > 0) == (y == 0)[:, None], 1 - x.flatten(1), x.flatten(1))
    return [
        (gains, size, need)
        for gains, need in zip((room * weight.abs()).tolist(), margin.tolist(), strict=True)
    ]


def fewest_cells(model: Logits, x: Tensor, y: Tensor, most: int) -> list[int]:
    """By enumeration of all supports of up to `most` cells, each cell at either end of [0, 1]; most + 1 where none flips. x: (B, T, C), small."""
    cells = x[0].numel()
    results = []
    for sample, label in zip(x, y.tolist(), strict=True):
        for size in range(1, most + 1):
            supports, ends = (
                list(combinations(range(cells), size)),
                list(product((0.0, 1.0), repeat=size)),
            )
            tried = sample.flatten().repeat(len(supports) * len(ends), 1)
            where = torch.tensor(supports).repeat_interleave(len(ends), 0)
            tried.scatter_(1, where, torch.tensor(ends).repeat(len(supports), 1))
            if (
                margins(model, tried.view(-1, *x.shape[1:]), torch.full((len(tried),), label))
                < -1e-4
            ).any():
                results.append(size)
                break
        else:
            results.append(most + 1)
    return results
