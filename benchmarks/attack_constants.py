"""What happens to `l1` at half and at twice each of its constants, as a page of Markdown.

make repro
python benchmarks/attack_constants.py > docs/results/constants.md

The stays are correctly classified ones of two folds, attacked by the network of their fold. By
default they are those of the last run. `--models` names the data/train/models of another run. The
constants are the fields of L1Settings. The constants of `sun` are those of the paper and stay as
they are.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # as src/run.py does, before torch is imported

import numpy as np
import pandas as pd
import torch
from attack_tables import markdown
from attack_victims import Group, choose, groups, predictions
from torch import Tensor

from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.algorithms.settings import L1Settings
from icu_adversarial.attack.oracle import for_attack
from icu_adversarial.attack.verify import in_processes
from icu_adversarial.core.parallel import prepare_worker

DEFAULT = L1Settings()
FACTORS = {"half": 0.5, "twice": 2.0}
# The arguments of `l1` with which a constant has an effect, by the beginning of its name.
ONE_START = {"restarts": 0, "supports": 0}
STARTS = {
    "starts": {"restarts": len(DEFAULT.starts), "supports": 0},
    "longest_start": {"restarts": len(DEFAULT.starts), "supports": 0},
    "beyond_": {"restarts": len(DEFAULT.starts), "supports": 0},
    "sparse_": {"restarts": 0, "supports": len(DEFAULT.sparse_starts)},
}
ITERATIONS = 200


class Constant(NamedTuple):
    """A constant and its variants.

    Attributes:
        name: Its path in the settings.
        default: Its value.
        does: What it does.
        chosen: How it was chosen.
        variants: By half and twice, the value and the settings with it.
    """

    name: str
    default: Any
    does: str
    chosen: str
    variants: dict[str, tuple[Any, Any]]


class Found(NamedTuple):
    """The best examples of all stays: norms, NaN where not flipped, and passes per stay."""

    l1: np.ndarray
    l0: np.ndarray
    passes: float


class Passes:
    """A network that counts the samples that it is asked a gradient for."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network, self.number = network, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.number += len(x) if x.requires_grad else 0
        return self.network(x)


def constants(settings: Any, prefix: str = "") -> Iterator[Constant]:
    """All numeric constants of a settings object.

    A list of starts has one constant for each number of a start that is not always 0 or 1: half
    and twice are those of all starts.
    """
    for entry in fields(settings):
        value, about = getattr(settings, entry.name), entry.metadata
        name = prefix + entry.name
        if is_dataclass(value):
            for inner in constants(value, f"{name}."):
                nested = {
                    factor: (number, replace(settings, **{entry.name: changed}))
                    for factor, (number, changed) in inner.variants.items()
                }
                yield inner._replace(variants=nested)
        elif isinstance(value, tuple):
            for part in ("cap", "share", "radius"):
                if part in value[0]._fields:
                    listed = tuple(getattr(start, part) for start in value)
                    variants = {}
                    for factor, times in FACTORS.items():
                        changed = tuple(
                            start._replace(**{part: min(1.0, getattr(start, part) * times)})
                            for start in value
                        )
                        new = tuple(getattr(start, part) for start in changed)
                        variants[factor] = (new, replace(settings, **{entry.name: changed}))
                    does = f"{about['does']} Here: {part}."
                    yield Constant(f"{name}.{part}", listed, does, about["chosen"], variants)
        else:
            variants = {}
            for factor, times in FACTORS.items():
                new = min(max(value * times, about["least"]), about["most"])
                new = max(1, round(new)) if isinstance(value, int) else new
                variants[factor] = (new, replace(settings, **{entry.name: new}))
            yield Constant(name, value, about["does"], about["chosen"], variants)


def starts_of(name: str) -> dict[str, int]:
    """The starts with which the constant `name` has an effect, as arguments of `l1`."""
    return next((s for prefix, s in STARTS.items() if name.startswith(prefix)), ONE_START)


def attack(stays: Sequence[Group], settings: L1Settings, starts: dict[str, int]) -> Found:
    """Attack the stays with `l1`.

    Args:
        stays: By fold.
        settings: The constants.
        starts: The arguments `restarts` and `supports`.
    """
    prepare_worker()
    norms, passes = [], 0
    for group in stays:
        network = Passes(for_attack(group.network))
        box = {"lower": group.lower, "upper": group.upper}
        best = l1(
            network,
            group.x,
            group.y,
            **box,
            **starts,
            iterations=ITERATIONS,
            settings=settings,
        ).best
        size = best.perturbation.flatten(1).abs().double()
        size[best.iteration < 0] = torch.nan
        cells = torch.where(size.isnan().any(1), torch.nan, (size > 0).sum(1).double())
        norms.append(torch.stack([size.sum(1), cells]).cpu().numpy())
        passes += network.number
    both = np.concatenate(norms, 1)
    return Found(both[0], both[1], passes / both.shape[1])


def rows(found: dict[str, Found], shown: dict[str, Any]) -> Iterator[dict[str, str]]:
    """A row for each variant of a constant, compared with the first one on the same stays.

    Args:
        found: The results by variant; the first one is the default.
        shown: The values of the constant by variant.
    """
    default = next(iter(found.values()))
    for name, result in found.items():
        flipped = np.isfinite(result.l1)
        row = {
            "value": f"{name}: {_number(shown[name])}",
            "flipped": f"{flipped.mean():.1%}",
            "mean L1": f"{np.nanmean(result.l1):.4g}",
            "mean L0": f"{np.nanmean(result.l0):.3g}",
            "passes": f"{result.passes:.0f}",
        }
        both = flipped & np.isfinite(default.l1)
        for norm in ("l1", "l0"):
            old, new = getattr(default, norm)[both], getattr(result, norm)[both]
            change = 100 * (new - old) / old.mean()
            error = change.std(ddof=1) / np.sqrt(len(change))
            same = result is default
            row[f"Δ {norm.upper()}, %"] = "" if same else f"{change.mean():+.1f} ± {error:.1f}"
        yield row


def _number(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{part:.3g}" for part in value)
    return f"{value:.3g}"


def report(stays: Sequence[Group], names: Sequence[str]) -> str:
    """The table of constants, each at half, at its default and at twice.

    Args:
        stays: By fold.
        names: The constants to vary.
    """
    chosen = [c for c in constants(DEFAULT) if c.name in names]
    used = {str(starts_of(c.name)): starts_of(c.name) for c in chosen}
    jobs: list[tuple[Sequence[Group], L1Settings, dict[str, int]]] = []
    jobs += [(stays, DEFAULT, starts) for starts in used.values()]
    jobs += [(stays, s, starts_of(c.name)) for c in chosen for _, s in c.variants.values()]
    results = iter(list(in_processes(attack, jobs)))
    defaults = {name: next(results) for name in used}
    table = []
    for constant in chosen:
        starts = starts_of(constant.name)
        found = {"default": defaults[str(starts)]}
        found |= {factor: next(results) for factor in constant.variants}
        shown = {"default": constant.default}
        shown |= {factor: value for factor, (value, _) in constant.variants.items()}
        for i, row in enumerate(rows(found, shown)):
            about = {"constant": f"`{constant.name}`", "what it does": constant.does}
            about["chosen"] = constant.chosen
            about["starts"] = ", ".join(f"{number} {name}" for name, number in starts.items())
            table.append((about if i == 0 else dict.fromkeys(about, "")) | row)
    return markdown(pd.DataFrame(table))


def page(stays: Sequence[Group], names: Sequence[str], source: str, options: str) -> str:
    """The whole page. source: what the stays are. options: those of the command."""
    run = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.check_output(run, text=True).strip()
    number = sum(len(group.y) for group in stays)
    return f"""# Constants of `l1`

Commit `{commit}`. This page is the output of

```
python benchmarks/attack_constants.py {options}
```

after `make repro`. The attacked networks are those of two folds of the run, and the stays are
{number} that they classify correctly: **{source}**. A constant is varied with one start of `l1`,
where its effect is largest, or with the further starts that use it (column *starts*). Of a list of
starts, all values are halved or doubled.

Δ is the change of the mean compared with the default on the same stays, ± its standard error. A
change of one or two standard errors is noise: any change of a constant leads some stays to other
local optima. *Passes* are gradients per stay; rows that fill up a small batch are included.

{report(stays, names)}"""


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("data/train/models"))
    parser.add_argument("--stays", type=int, default=64)
    parser.add_argument("--constants", nargs="+", default=[""], help="those that begin so")
    parser.add_argument("--without", nargs="+", default=[], help="not those that begin so")
    parser.add_argument("--source", default="stays of the synthetic hospital", help="for the head")
    arguments = parser.parse_args()
    models = arguments.models.resolve()
    predicted = predictions(models)
    stays = list(groups(models, predicted, choose(predicted, arguments.stays)[0]))
    names = [
        constant.name
        for constant in constants(DEFAULT)
        if constant.name.startswith(tuple(arguments.constants))
        and not constant.name.startswith(tuple(arguments.without))
    ]
    print(page(stays, names, arguments.source, " ".join(sys.argv[1:])))


if __name__ == "__main__":
    main()
