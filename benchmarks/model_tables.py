"""Markdown tables of models and their paired differences, which benchmarks/models.py prints."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from paired import (
    NOT_SHOWN,
    SCORES,
    Difference,
    of_averages,
    of_single_models,
    over_directions,
    over_folds,
)

from icu_adversarial.evaluate.statistics import holm
from icu_adversarial.model.scores import rank_scores

Predictions = dict[str, list[list[np.ndarray]]]  # log odds, by model, split and seed
Limits = dict[str, list[float]]  # log odds above which a death is predicted, by model and split
CHALLENGE = (
    "min(sensitivity, positive predictive value), at the\n"
    "threshold that is best on the training stays, out of fold"
)

DIRECTIONS = "mean of both directions"  # a row of the tables


class Protocol(NamedTuple):
    """One split, or the folds of one cross-validation.

    splits: The numbers of the splits.
    test_over_train: Test stays divided by training stays of a split.
    """

    name: str
    splits: list[int]
    test_over_train: float


def rows_of(protocols: Sequence[Protocol]) -> list[tuple[str, list[int]]]:
    """The protocols, each with its splits, and the mean of both directions after these two."""
    rows = [(protocol.name, protocol.splits) for protocol in protocols]
    single = [protocol.splits[0] for protocol in protocols if len(protocol.splits) == 1]
    if len(single) == 2:
        rows.insert(2, (DIRECTIONS, single))
    return rows


def score_rows(
    z: Predictions,
    limits: Limits,
    protocols: Sequence[Protocol],
    died: list[np.ndarray],
    members: int,
) -> Iterator[str]:
    """A Markdown table of AUROC / AUPRC / challenge score, with one row per protocol.

    Single models come first, then averages.
    """

    def scored(name: str, i: int, log_odds: np.ndarray) -> tuple[float, float, float]:
        return scores_of(died[i], log_odds, limits[name][i])

    averaged = [name for name in z if name != "logistic_regression"]
    heads = [f"one {shown(n)}" if n in averaged else shown(n) for n in z]
    heads += [f"average of {members}: {shown(n)}" for n in averaged]
    yield f"AUROC / AUPRC / challenge score: {CHALLENGE}."
    yield f"One model: mean of the scores of {members} models, one for each seed."
    yield f"Average: one score, of the mean of the {members} models in log odds.\n"
    yield f"| | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for protocol, which in rows_of(protocols):
        one = [np.mean([scored(n, i, v) for i in which for v in z[n][i]], 0) for n in z]
        mean = [np.mean([scored(n, i, np.mean(z[n][i], 0)) for i in which], 0) for n in averaged]
        cells = [" / ".join(f"{value:.3f}" for value in values) for values in (*one, *mean)]
        yield f"| {protocol} | {' | '.join(cells)} |"


def scores_of(died: np.ndarray, log_odds: np.ndarray, limit: float) -> tuple[float, float, float]:
    """AUROC, AUPRC and the score of the Challenge at a threshold."""
    return *rank_scores(died, log_odds), challenge_score(died, log_odds > limit)


def challenge_score(died: np.ndarray, called: np.ndarray) -> float:
    """The official score of the Challenge: min(sensitivity, positive predictive value)."""
    hits = (died.astype(bool) & called).sum()
    return float(hits / max(called.sum(), died.sum()))


def difference_rows(
    z: Predictions, protocols: Sequence[Protocol], died: list[np.ndarray], members: int
) -> Iterator[str]:
    """A Markdown table of the differences between the network and each baseline."""
    yield "Difference of paired scores, ± standard error (95 % interval). A → B, B → A: bootstrap"
    yield f"over test stays and {members} trainings; folds: Nadeau and Bengio's correction.\n"
    yield "| | | Δ AUROC | network | Δ AUPRC | network |\n|---|---|---|---|---|---|"
    of_both = {"one": of_single_models, f"average of {members}": of_averages}
    for other in (name for name in z if name != "network"):
        for number, difference in of_both.items():
            if number != "one" and other == "logistic_regression":
                continue
            of = {
                i: difference(died[i], z["network"][i], z[other][i])
                for protocol in protocols
                for i in protocol.splits
            }
            shares = {protocol.name: protocol.test_over_train for protocol in protocols}
            for protocol, which in rows_of(protocols):
                parts = [of[i] for i in which]
                if protocol == DIRECTIONS:
                    found = over_directions(parts)
                else:
                    found = over_folds(parts, shares[protocol]) if len(parts) > 1 else parts[0]
                cells = " | ".join(f"{written(d)} | {d.verdict}" for d in found)
                yield f"| {protocol} | {number} network - {number} {shown(other)} | {cells} |"


def ablation_rows(
    z: Predictions, limits: Limits, died: list[np.ndarray], members: int
) -> Iterator[str]:
    """A Markdown table. All models are compared with the first one."""
    first, *others = z
    differences = [
        over_directions(
            [of_single_models(y, a, b) for y, a, b in zip(died, z[name], z[first], strict=True)]
        )
        for name in others
    ]
    adjusted = np.array(
        [holm(np.array([d[i].p_value for d in differences])) for i in range(len(SCORES))]
    ).T
    yield f"Means over {members} single models in each direction, A → B and B → A. Differences are"
    yield "paired over seeds and directions, ± standard error over test stays and trainings."
    yield f"p: Holm's correction over the {len(others)} changes; {NOT_SHOWN}: p above 0.05."
    yield f"Challenge: {CHALLENGE}.\n"
    yield "| | AUROC | AUPRC | Challenge | Δ AUROC | p | Δ AUPRC | p |\n" + "|---" * 8 + "|"
    for name in z:
        scores = np.mean(
            [
                scores_of(y, v, limit)
                for y, models, limit in zip(died, z[name], limits[name], strict=True)
                for v in models
            ],
            axis=0,
        )
        row = f"| {name} | {' | '.join(f'{score:.3f}' for score in scores)} "
        if name == first:
            yield row + "| | | | |"
            continue
        i = others.index(name)
        pairs = zip(differences[i], adjusted[i], strict=True)
        yield (
            row
            + "".join(
                f"| {d.value:+.4f} ± {d.error:.4f} | {f'{p:.3f}' if p <= 0.05 else NOT_SHOWN} "
                for d, p in pairs
            )
            + "|"
        )


def commit() -> str:
    """The commit of this code, and whether files differ from it."""
    command = ("git", "describe", "--always", "--dirty", "--exclude=*")
    return subprocess.run(
        command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True
    ).stdout.strip()


def shown(name: str) -> str:
    return name.replace("_", " ")


def written(difference: Difference) -> str:
    low, high = difference.interval
    return f"{difference.value:+.4f} ± {difference.error:.4f} ({low:+.4f} to {high:+.4f})"
