"""Compare attacks on the stays that all of them flip, with intervals, as Markdown.

attack_quality.py and attack_speed.py use it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

Z = 1.959964  # of a 95 % interval
NORMS = ("l1", "l0")


class PeerError(Exception):
    """A method crashed, or its result is invalid."""


def wilson(number: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, JASA 22:209-212); (0, 1) for no cases."""
    if not of:
        return 0.0, 1.0
    share, z2 = number / of, Z**2 / of
    middle, half = share + z2 / 2, Z * np.sqrt(share * (1 - share) / of + z2 / of / 4)
    return float((middle - half) / (1 + z2)), float((middle + half) / (1 + z2))


def share(hits: pd.Series) -> str:
    """The share of True with its 95 % interval, in per cent."""
    low, high = wilson(int(hits.sum()), len(hits))
    return f"{hits.mean():.1%} ({100 * low:.1f}–{100 * high:.1f})"


def check_result(result: pd.DataFrame) -> None:
    """Check the result of a method.

    Args:
        result: For all its stays: whether they are flipped (success), and their distance from the
            unchanged stays (l1).

    Raises:
        PeerError: The result is invalid.
    """
    success, l1 = result["success"], result["l1"]
    if not np.isfinite(l1).all():
        raise PeerError(f"{np.sum(~np.isfinite(l1))} of {len(l1)} distances are not finite")
    if not success.any() and not l1.any():
        raise PeerError(f"all {len(l1)} distances are zero")


def by_stays(results: Mapping[str, pd.DataFrame]) -> Iterator[dict[str, pd.DataFrame]]:
    """Group the methods by their number of stays, the largest number first."""
    for number in sorted({len(result) for result in results.values()}, reverse=True):
        yield {name: result for name, result in results.items() if len(result) == number}


def all_flip(results: Mapping[str, pd.DataFrame]) -> np.ndarray:
    """The stay_ids that all methods flip. Methods that flip no stay are left out."""
    flipped = [set(r.index[r["success"]]) for r in results.values() if r["success"].any()]
    return np.array(sorted(set.intersection(*flipped)) if flipped else [], np.int64)


def compare(
    results: Mapping[str, pd.DataFrame], about: Mapping[str, Mapping[str, Any]]
) -> tuple[pd.DataFrame, int]:
    """One row per method. All methods were tried on the same stays.

    Args:
        results: By method, one row per stay (the index): success, l1, l0, forwards, backwards.
        about: By method, further columns of its row.

    Returns:
        The table, with the norms over the stays that all methods flip, and the number of these
        stays.
    """
    common, rows = all_flip(results), []
    for name, result in results.items():
        norms = result.loc[common] if result["success"].any() else result[:0]
        measured = {
            f"{kind} {norm.upper()}": f"{getattr(norms[norm], kind)():.3g}" if len(norms) else "—"
            for norm in NORMS
            for kind in ("median", "mean")
        }
        passes = {
            "forward": f"{result['forwards'].mean():,.0f}",
            "backward": f"{result['backwards'].mean():,.0f}",
        }
        row = {"method": name, "success, % (95 %)": share(result["success"])}
        rows.append(row | measured | passes | dict(about.get(name, {})))
    return pd.DataFrame(rows), len(common)


def print_tables(
    results: Mapping[str, pd.DataFrame],
    about: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, str],
) -> None:
    """Print a Markdown table for each number of stays, then the failed methods."""
    for group in by_stays(results):
        table, common = compare(group, about)
        stays = len(next(iter(group.values())))
        print(f"\n{stays} stays; norms over the {common} that all of these methods flip:\n")
        print(markdown(table))
    print("\nforward, backward: passes per stay, the mean.")
    for name, reason in failed.items():
        print(f"failed: {name}: {reason}")


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    rows = [table.columns, ["---"] * table.shape[1], *table.astype(str).to_numpy()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
