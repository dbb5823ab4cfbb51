"""The numbers of an attack and its maps in metrics.json."""

from typing import Any

import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS, KINDS, pooled, select


def summary(
    examples: pd.DataFrame,
    by_measurement: pd.DataFrame,
    reached: pd.DataFrame,
    min_l0: int,
    max_l0: int,
) -> dict[str, Any]:
    """The numbers of each direction ("0_to_1" or "1_to_0") and kind.

    Args:
        examples: schemas.EXAMPLES.
        by_measurement: of `susceptibility.susceptibility`.
        reached: of `captions.reach`.
        min_l0, max_l0: Limits of L0 of the examples in the maps.

    Returns:
        For each direction `attacked`, `models` (the number of attacked models), `interval` (what
        the intervals cover), and for each kind its numbers, which are None without an example.
    """
    result: dict[str, Any] = {}
    for direction in DIRECTIONS:
        attacked = examples[examples.direction == direction]
        models = attacked.fold.nunique()
        block: dict[str, Any] = {
            "attacked": int((attacked.kind == "best").sum()),
            "models": models,
            "interval": "subjects and models" if models > 1 else "subjects",
        }
        for kind in KINDS:
            rows = attacked[attacked.kind == kind]
            chosen = select(examples, direction, kind, min_l0, max_l0)
            ranked = pooled(by_measurement, direction, kind)
            cap = reached[(reached.direction == direction) & (reached.kind == kind)].iloc[0]
            block[kind] = {
                "success_rate": round(float(rows.success.mean()), 6) if len(rows) else None,
                "examples": len(chosen),
                **{
                    f"median_{norm}": float(f"{chosen[norm].median():.6g}") if len(chosen) else None
                    for norm in ("l0", "l1", "linf")
                },
                **{
                    name: None if pd.isna(cap[name]) else round(float(cap[name]), 6)
                    for name in ("capped_examples", "capped_cells")
                },
                "sum_a": float(f"{ranked.a.sum():.9g}"),
                "top_measurement": ranked.measurement.iloc[0] if len(chosen) else None,
                "sum_s": float(f"{ranked.s.sum():.9g}"),
            }
        result[direction.replace("→", "_to_")] = block
    return result
