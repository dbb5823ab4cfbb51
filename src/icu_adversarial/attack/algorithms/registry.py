"""The attacks by name, and which one serves which objective."""

from collections.abc import Callable

from icu_adversarial.attack.algorithms.l0 import l0
from icu_adversarial.attack.algorithms.l1 import l1
from icu_adversarial.attack.algorithms.prior import prior
from icu_adversarial.attack.algorithms.sun import sun
from icu_adversarial.attack.api import Result

METHODS: dict[str, Callable[..., Result]] = {"prior": prior, "sun": sun, "l1": l1, "l0": l0}
OF_CELLS = ("robust_l0", "sparsity", "max_num_nonzero_perts")


def method_for(objective: str, method: str) -> str:
    """Find the attack for an objective.

    Args:
        objective: The objective of tune_attack.
        method: attack.method of params.yaml.

    Returns:
        `method`. Where it is auto: l0 for the objectives that count cells, l1 for the others.
    """
    if method != "auto":
        return method
    return "l0" if objective in OF_CELLS else "l1"
