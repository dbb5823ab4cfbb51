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
        `objective`, and in `directions` a row for each direction: `direction`, `attacked` and
        `flipped` (numbers of stays), `median_changed_values` (over the flipped stays, None without
        one), and `most_susceptible`: the names of at most three measurements that A ranks first.
    """
    rows = []
    for direction in DIRECTIONS:
        best = examples[(examples.kind == "best") & (examples.direction == direction)]
        flipped = best[best.success]
        ranked = pooled(by_measurement, direction, "best")
        rows.append(
            {
                "direction": direction,
                "attacked": len(best),
                "flipped": len(flipped),
                "median_changed_values": float(flipped.l0.median()) if len(flipped) else None,
                "most_susceptible": [
                    str(name) for name in ranked[ranked.a > 0].measurement.head(MEASUREMENTS)
                ],
            }
        )
    return {"objective": objective, "directions": rows}
