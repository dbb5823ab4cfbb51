"""Which settings the attacks take from users of `find_examples`, and which values each may have."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

from icu_adversarial.attack.algorithms.l1 import SETTINGS
from icu_adversarial.attack.algorithms.prior import OPTIMIZERS
from icu_adversarial.core.errors import InputError


class Allowed(NamedTuple):
    """The values that a setting may have.

    Attributes:
        text: What they are, in words.
        holds: Whether a value is one of them.
    """

    text: str
    holds: Callable[[Any], bool]


MOST = 10**9  # larger numbers do not fit into the integers of a tensor


def _whole(least: int, most: int = MOST) -> Allowed:
    """Whole numbers, both ends included."""
    return Allowed(
        f"a whole number from {least} to {most}",
        lambda value: _is(Integral, value) and least <= value <= most,
    )


def _number(least: float, most: float = MOST, *, above: bool = False) -> Allowed:
    """Numbers. The lower end is included unless `above`."""
    start = f"above {least:g} and at most" if above else f"from {least:g} to"
    return Allowed(
        f"a number {start} {most:g}",
        lambda value: (
            _is(Real, value) and least <= value <= most and not (above and value == least)
        ),
    )


def _is(kind: type, value: Any) -> bool:
    """Whether a value is a number of a kind. Python takes True for 1."""
    return isinstance(value, kind) and not isinstance(value, bool)


ITERATIONS = _whole(1)
ALLOWED: dict[str, dict[str, Allowed]] = {
    "l1": {
        "cap": _number(0, above=True),
        "radius": _number(0, above=True),
        "patience": _whole(1),
        "restarts": _whole(0, len(SETTINGS.starts)),
        "supports": _whole(0, len(SETTINGS.sparse_starts)),
    },
    "l0": {
        "cap": _number(0, above=True),
        "share": _number(0, 1, above=True),
        "candidates": _whole(1),
        "patience": _whole(1),
        "starts": _whole(1, 1000),  # the samples are repeated so often
    },
    "prior": {
        "optimizer": Allowed(
            f"one of {', '.join(OPTIMIZERS)}",
            lambda value: isinstance(value, str) and value in OPTIMIZERS,
        ),
        "learning_rate": _number(0, above=True),
        "kappa": _number(0),
        "penalty": _number(0),
    },
    "sun": {},
}


def check_settings(method: str, iterations: Any, settings: dict[str, Any]) -> None:
    """Check what a user gives to an attack.

    Args:
        method: A name in ALLOWED.
        iterations: Passes per sample and start, at most.
        settings: Further settings of the method.

    Raises:
        InputError: The method has no such setting, or the value is not allowed.
    """
    allowed = {"iterations": ITERATIONS} | ALLOWED[method]
    for name, value in {"iterations": iterations, **settings}.items():
        if name not in allowed:
            raise InputError(f"{method} has no setting {name}, expected {', '.join(allowed)}")
        if not allowed[name].holds(value):
            raise InputError(f"{name} is {value!r}, expected {allowed[name].text}")
