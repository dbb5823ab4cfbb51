"""What the summary of a run says about the attack of one objective. The stage analyze calls it."""

from typing import Any

import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS, pooled

MEASUREMENTS = 3  # that are named for each direction


def headline(
    objective: str, examples: pd.DataFrame, by_measurement: pd.DataFrame
) -> dict[str, Any]:
    """Describe the best examples of an attack in a few numbers.

    Args:
        objective: What the attack maximised.
        examples: tables.EXAMPLES.
        by_measurement: Of `susceptibility.susceptibility`.

    Returns:
        `objective`, the values of `_counts` over both directions, and in `directions` the same
        for each direction, with `direction` and `most_susceptible`: the names of at most three
        measurements that A ranks first.
    """
    best = examples[examples.kind == "best"]
    directions = []
    for direction in DIRECTIONS:
        ranked = pooled(by_measurement, direction, "best")
        first = ranked[ranked.a > 0].measurement.head(MEASUREMENTS)
        counts = _counts(best[best.direction == direction])
        directions.append(
            {"direction": direction, **counts, "most_susceptible": first.astype(str).tolist()}
        )
    return {"objective": objective, **_counts(best), "directions": directions}


def _counts(best: pd.DataFrame) -> dict[str, Any]:
    """`attacked` and `flipped`: numbers of stays. `median_changed_values`: over the flipped
    stays, None without one."""
    flipped = best[best.success]
    median = float(flipped.l0.median()) if len(flipped) else None
    return {"attacked": len(best), "flipped": len(flipped), "median_changed_values": median}
