"""Attacks of other projects and of this one behind one signature, with counted passes.

Every result is checked on the unmodified network. The attacks of other projects take flat inputs in
[0, 1] in which every cell may change. They get only the movable cells, (n, cells), and `Cells` adds
the other inputs of the network. These projects are installed in their own environment: see
peers.txt.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from attack_tables import PeerError
from attack_victims import Group
from torch import Tensor, nn

from icu_adversarial.attack.algorithms.registry import METHODS
from icu_adversarial.attack.api import NONZERO
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.core.io import read_json, write_json

VISIBLE = 1e-3  # L0 is counted above NONZERO and above this; equal counts mean exact zeros
INPUTS = 1024 if torch.cuda.is_available() else 128  # stays in one call
RATES = {
    "adam": (0.003, 0.01, 0.03),
    "sgd": (0.03, 0.1, 0.3),
}  # learning rates of PRIOR's update; the penalty is a SHARE of the rate
SHARES, TUNING_ITERATIONS, ENOUGH = (0.01, 0.03, 0.1, 0.3), 200, 0.95


class Counter(nn.Module):
    """A network that counts the samples of its forward and backward passes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.forwards, self.backwards = network, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        self.forwards += len(x)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


class Cells(nn.Module):
    """The network as a function of the movable cells: (n, cells) -> logits (n, 2).

    Row i gets the other inputs of stay i. Some attacks rearrange samples. For them there is one
    more cell at the end, with the number of the stay divided by 4096. Its gradient is zero.
    """

    def __init__(self, network: nn.Module, group: Group) -> None:
        super().__init__()
        self.network, self.x = network, group.x
        movable = (group.lower < group.upper).all(0)
        self.cell = (
            torch.cat(
                [movable, movable.new_zeros(len(movable), group.x.shape[2] - movable.shape[1])], 1
            )
            .flatten()
            .nonzero()[:, 0]
        )

    def inputs(self, numbered: bool = False) -> Tensor:
        z = self.x.flatten(1)[:, self.cell]
        return (
            torch.cat([z, torch.arange(len(z), device=z.device)[:, None] / 4096], 1)
            if numbered
            else z
        )

    def forward(self, z: Tensor) -> Tensor:
        rows = (
            torch.arange(len(self.x), device=z.device)
            if z.shape[1] == len(self.cell)
            else (z[:, -1].detach() * 4096).long()
        )
        return self.network(self.full(z[:, : len(self.cell)], self.x[rows]))

    def full(self, z: Tensor, x: Tensor) -> Tensor:
        """x (n, T, C) with the movable cells from z."""
        return x.flatten(1).index_copy(1, self.cell, z).view_as(x)


Attack = Callable[
    [nn.Module, Group], Tensor
]  # (network, stays) -> the first M channels of the attacked inputs, (n, T, M)


class Method(NamedTuple):
    """An attack.

    settings: As a reader would choose them.
    stays: The largest number of stays, for slow attacks.
    """

    project: str
    settings: str
    attack: Attack
    stays: int = 10**6


def listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def ours(name: str, **settings: Any) -> Attack:
    def attack(network: nn.Module, group: Group) -> Tensor:
        result = METHODS[name](
            network, group.x, group.y, lower=group.lower, upper=group.upper, **settings
        )
        return group.values + result.best.perturbation

    return attack


def peer(attack: Callable[[Cells, Tensor, Tensor], Tensor], numbered: bool = False) -> Attack:
    """An attack of another project: (network of the cells, z, y) -> attacked z."""

    def on_cells(network: nn.Module, group: Group) -> Tensor:
        cells = Cells(network, group)
        z = attack(cells, cells.inputs(numbered), group.y)[:, : len(cells.cell)]
        return cells.full(z.detach().float(), group.x)[..., : group.lower.shape[2]]

    return on_cells


def adv_lib(name: str, **settings: Any) -> Callable[[Cells, Tensor, Tensor], Tensor]:
    def attack(cells: Cells, z: Tensor, y: Tensor) -> Tensor:
        sys.modules.setdefault(
            "visdom", ModuleType("visdom")
        )  # adv-lib imports both, but these attacks use neither
        torchvision = sys.modules.setdefault("torchvision", ModuleType("torchvision"))
        vars(torchvision).setdefault("models", None)
        import adv_lib.attacks

        return getattr(adv_lib.attacks, name)(cells, z, y, **settings)

    return attack


def foolbox(name: str, **settings: Any) -> Callable[[Cells, Tensor, Tensor], Tensor]:
    def attack(cells: Cells, z: Tensor, y: Tensor) -> Tensor:
        import foolbox as fb

        model = fb.PyTorchModel(cells.eval(), bounds=(0, 1), device=z.device)
        options = (
            {"starting_points": starting_points(cells, z, y)} if "BrendelBethge" in name else {}
        )
        return getattr(fb.attacks, name)(**settings).run(
            model, z, fb.criteria.Misclassification(y), **options
        )

    return attack


def starting_points(cells: Cells, z: Tensor, y: Tensor, tries: int = 64) -> Tensor:
    """Start values for an attack that starts from an input of the other class.

    They are the values of another stay that change the class. If there is none, they are the
    corner of the box in which each cell lowers the margin to first order.
    """
    w = z.clone().requires_grad_()
    sign = 1 - 2 * y[:, None].float()
    (gradient,) = torch.autograd.grad((cells(w) * torch.cat([sign, -sign], 1)).sum(), w)
    start = torch.where(gradient < 0, 1.0, 0.0)
    with torch.no_grad():
        for shift in range(1, tries):
            other = z.roll(shift, 0)
            flips = cells(other).argmax(1) != y
            start = torch.where(flips[:, None], other, start)
    return start


def art_elastic_net(cells: Cells, z: Tensor, y: Tensor) -> Tensor:
    from art.attacks.evasion import ElasticNet
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        cells.eval(),
        loss=nn.CrossEntropyLoss(),
        input_shape=(z.shape[1],),
        nb_classes=2,
        clip_values=(0, 1),
        device_type=z.device.type.replace("cuda", "gpu"),
    )
    attack = ElasticNet(
        classifier, max_iter=100, decision_rule="L1", batch_size=len(z), verbose=False
    )
    return torch.from_numpy(attack.generate(z.cpu().numpy(), y.cpu().numpy())).to(z.device)


PEERS = {
    "FAB-L1": Method("adv-lib", "150 iterations", peer(adv_lib("fab", norm=1, n_iter=150))),
    "VFGA": Method("adv-lib", "10 samples", peer(adv_lib("vfga", targeted=False), numbered=True)),
    "sigma-zero": Method("adv-lib", "1,000 steps", peer(adv_lib("sigma_zero", num_steps=1000))),
    "FMN-L0": Method("adv-lib", "300 steps", peer(adv_lib("fmn", norm=0, steps=300))),
    "FMN-L1": Method("adv-lib", "300 steps", peer(adv_lib("fmn", norm=1, steps=300))),
    "PDPGD-L1": Method("adv-lib", "300 steps", peer(adv_lib("pdpgd", norm=1, num_steps=300))),
    "EAD": Method(
        "foolbox",
        "9 x 100 steps, L1 rule",
        peer(foolbox("EADAttack", binary_search_steps=9, steps=100, decision_rule="L1")),
    ),
    "foolbox FMN-L0": Method("foolbox", "300 steps", peer(foolbox("L0FMNAttack", steps=300))),
    "foolbox FMN-L1": Method("foolbox", "300 steps", peer(foolbox("L1FMNAttack", steps=300))),
    "Brendel-Bethge-L0": Method(
        "foolbox", "100 steps", peer(foolbox("L0BrendelBethgeAttack", steps=100)), stays=64
    ),
    "ElasticNet": Method("ART", "9 x 100 iterations, L1 rule", peer(art_elastic_net), stays=64),
}
SETTINGS: dict[
    str, dict[str, Any]
] = {  # of our attacks: the longest search, the settings of params.yaml, and one start
    "l1": {"iterations": 200},
    "l0": {"iterations": 200, "starts": 3},
    "l1 pipeline": {"iterations": 200, "supports": 0},
    "l0 pipeline": {"iterations": 200, "starts": 3, "candidates": 32},
    "l1 fast": {"iterations": 14, "restarts": 0, "supports": 0, "radius": 0.2},
    "l0 fast": {"iterations": 16, "starts": 1, "share": 0.7, "candidates": 2, "patience": 1},
}
OURS = {
    name: Method("ours", listed(settings), ours(name.split()[0], **settings))
    for name, settings in SETTINGS.items()
}
SUN = Method("ours", "25 penalties x 100 iterations", ours("sun", iterations=100))


def prior(hyperparameters: dict[str, Any], iterations: int) -> Method:
    return Method(
        "ours",
        f"{iterations:,} iterations, {listed(hyperparameters)}",
        ours("prior", iterations=iterations, **hyperparameters),
    )


class Checked(NamedTuple):
    """The checked result of each stay.

    needless: The stay also flips without its changed cells below VISIBLE, and has such cells.
    forwards, backwards: Passes, as the mean over the call.
    """

    success: np.ndarray
    l1: np.ndarray
    l0: np.ndarray
    l0_visible: np.ndarray
    needless: np.ndarray
    forwards: float
    backwards: float


def run(method: Method, group: Group) -> Checked:
    """Attack the stays in one call and check the result.

    The result is limited to the box. It counts if the class of the unmodified network is not y.

    Raises:
        PeerError: The attack of another project crashed.
    """
    counter = Counter(
        for_attack(group.network) if group.x.is_cuda else group.network
    )  # cuDNN has no backward pass in evaluation mode
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other projects
        values = attempt(method, counter, group)
    values = values.float().maximum(group.lower).minimum(group.upper)
    unchanged, others = group.values, group.x[..., group.lower.shape[2] :]
    size = (values - unchanged).abs()
    with torch.no_grad():
        success, without = (
            (group.network(torch.cat([seen, others], 2)).argmax(1) != group.y).cpu().numpy()
            for seen in (values, torch.where(size > VISIBLE, values, unchanged))
        )
    size = size.flatten(1).double().cpu()
    l0, visible = ((size > least).sum(1).numpy() for least in (NONZERO, VISIBLE))
    n = len(group.y)
    return Checked(
        success,
        size.sum(1).numpy(),
        l0,
        visible,
        without & (l0 != visible),
        counter.forwards / n,
        counter.backwards / n,
    )


def attempt(method: Method, network: nn.Module, group: Group) -> Tensor:
    """The result of the method.

    Raises:
        PeerError: The attack of another project crashed.
    """
    if method.project == "ours":
        return method.attack(network, group)
    try:
        return method.attack(network, group)
    except Exception as error:
        text = " ".join(str(error).split())
        raise PeerError(f"{type(error).__name__}: {text}") from error


def chunks(groups: Iterable[Group], size: int) -> Iterator[Group]:
    """The same stays in groups of at most `size`."""
    for group in groups:
        for first in range(0, len(group.y), size):
            yield group.rows(np.arange(first, min(first + size, len(group.y))))


def tuned_prior(file: Path, groups: Iterable[Group]) -> Method:
    """PRIOR's update with 1,000 iterations and the best settings on other stays.

    The best settings have the smallest mean L1 norm among those that flip ENOUGH of the stays. If
    there are none, the settings that flip most stays are used. They are stored in `file`.
    """
    if not file.exists():
        tuning, trials = list(groups), []
        for optimizer, rate, share in (
            (name, rate, share)
            for name, rates in RATES.items()
            for rate in rates
            for share in SHARES
        ):
            settings = {
                "optimizer": optimizer,
                "learning_rate": rate,
                "kappa": 0.0,
                "penalty": rate * share,
            }
            results = [run(prior(settings, TUNING_ITERATIONS), group) for group in tuning]
            success, l1 = (
                np.concatenate([getattr(result, name) for result in results])
                for name in ("success", "l1")
            )
            trials.append(
                (
                    min(success.mean(), ENOUGH),
                    -l1[success].mean() if success.any() else -np.inf,
                    settings,
                )
            )
        write_json(file, max(trials, key=lambda trial: trial[:2])[2])
    return prior(read_json(file), 1000)
