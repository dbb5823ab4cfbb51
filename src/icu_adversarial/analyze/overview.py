"""The summary of a whole run: metrics/summary.json, and the lines that `make repro` ends with.

DVC shows each number of metrics/summary.json as a column of `dvc exp show`, and it skips lists.
A table of 120 characters has room for four short columns and the setting that was changed. These
four numbers are at the top of the file. Everything else is in lists.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from icu_adversarial.core.labels import LABELS
from icu_adversarial.core.outcomes import worded
from icu_adversarial.core.paths import METRICS, REPORT

MODELS = {"network": "network", "gradient_boosting": "gradient boosting"}
SCORES = {"auroc": "AUROC", "auprc": "AUPRC"}
PATIENTS = {"0→1": "survivors (0→1)", "1→0": "deaths (1→0)"}
DIGITS = 4  # after the decimal point of the four numbers, so that their columns are narrow
OBJECTIVES_SHOWN = 2  # with more of them, the summary would not fit in 15 lines
WIDTH = 120  # characters of a line


def overview(model: dict[str, Any], attacks: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of metrics/summary.json.

    Args:
        model: metrics/evaluate/metrics.json.
        attacks: Of `headline.headline`, one per objective.

    Returns:
        `auroc` and `auprc` of the network on the test set. `flipped`, the share of the attacked
        stays that were flipped, and `changed`, the median number of changed values of a flipped
        stay: both are means over objectives and directions. Then lists with a row per set of
        stays (`cohort`), per model and score (`scores`, with 95 % intervals), and per objective
        and direction (`attacks`), and `warnings`. None (JSON's null) where nothing was counted.
    """
    network = model["test"]["network"]
    rows = [_attack(attack["objective"], row) for attack in attacks for row in attack["directions"]]
    return {
        **{score: _round(network[score]["value"]) for score in SCORES},
        "flipped": _mean(row["flipped_share"] for row in rows),
        "changed": _mean(row["median_changed_values"] for row in rows),
        "cohort": [
            {
                "data": model["source"],
                "outcome": model["outcome"],
                "set": name,
                "stays": model["stays"][name],
                "deaths": model["deaths"][name],
            }
            for name in ("training", "test")
        ],
        "scores": [
            {
                "model": name,
                "score": score,
                **{k: model["test"][name][score][k] for k in ("value", "low", "high")},
            }
            for name in MODELS
            for score in SCORES
        ],
        "attacks": rows,
        "warnings": [model["warning"]] if model["warning"] else [],
    }


def _attack(objective: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of `headline.headline` with the share instead of the number of flipped stays."""
    share = row["flipped"] / row["attacked"] if row["attacked"] else None
    return {
        "objective": objective,
        "direction": row["direction"],
        "attacked": row["attacked"],
        "flipped_share": share,
        "median_changed_values": row["median_changed_values"],
        "most_susceptible": row["most_susceptible"],
    }


def lines(summary: dict[str, Any], objectives: Sequence[str]) -> list[str]:
    """What a person reads at the end of a run, in at most 15 lines of at most WIDTH characters.

    Args:
        summary: Of `overview`.
        objectives: Those of params.yaml. The lines name their reports, and those that are missing.
    """
    training, test = summary["cohort"]
    stays, deaths = (training[key] + test[key] for key in ("stays", "deaths"))
    events = worded("deaths", test["outcome"])
    attacked = list(dict.fromkeys(row["objective"] for row in summary["attacks"]))
    left = len(attacked) - OBJECTIVES_SHOWN
    text = [
        f"Data: {test['data']}: {stays:,} stays, {deaths:,} {events}. "
        f"Test set: {test['stays']:,} stays, {test['deaths']:,} {events}.",
        f"{'Test set (95 % interval)':<40}" + "".join(f"{name:<23}" for name in SCORES.values()),
        *(_model_line(name, summary["scores"]) for name in MODELS),
        f"{'Attack, and who is flipped':<40}{'flipped':<18}{'changed values':<17}"
        "most susceptible measurements",
        *(
            _attack_line(row, test["outcome"])
            for row in summary["attacks"]
            if row["objective"] in attacked[:OBJECTIVES_SHOWN]
        ),
    ]
    if left > 0:
        text.append(f"  {left} more in metrics/summary.json")
    if summary["warnings"]:
        text.append("Warning: nothing can be concluded from this cohort. The report says why.")
    reports = [METRICS / "analyze" / objective / "report.md" for objective in objectives]
    reports.insert(0, REPORT)
    text += [
        *_listed("Reports: ", [str(path) for path in reports if path.exists()]),
        *_listed(
            "Missing, run `dvc repro`: ", [str(path) for path in reports if not path.exists()]
        ),
        f"Open {REPORT} in a browser. "
        "Figures: `dvc plots show` or `python src/run.py figures FOLDER`.",
    ]
    if test["data"].startswith(LABELS["synthetic"]):
        text.append("The patients are synthetic. These results say nothing about real patients.")
    return [line.rstrip() for line in text]


def _listed(start: str, names: list[str]) -> list[str]:
    """A line of names, as many as fit, and the number of the others. Nothing without a name."""
    shown = len(names)
    while shown:
        more = f" and {len(names) - shown} more" if shown < len(names) else ""
        line = start + ", ".join(names[:shown]) + more
        if len(line) <= WIDTH:
            return [line]
        shown -= 1
    return []


def _model_line(name: str, scores: list[dict[str, Any]]) -> str:
    """The scores of one model with their intervals."""
    found = [_interval(row) for row in scores if row["model"] == name]
    return f"  {MODELS[name]:<38}" + "".join(f"{cell:<23}" for cell in found)


def _attack_line(row: dict[str, Any], outcome: str) -> str:
    """One objective and direction."""
    who = worded(PATIENTS[row["direction"]], outcome).replace(" stays", "")
    share, median = row["flipped_share"], row["median_changed_values"]
    flipped = "none attacked" if share is None else f"{share:.1%} of {row['attacked']:,}"
    return (
        f"  {row['objective']:<22}{who:<16}{flipped:<18}"
        f"{'–' if median is None else f'median {median:g}':<17}{', '.join(row['most_susceptible'])}"
    )


def _interval(row: dict[str, Any]) -> str:
    """A score is null where the test set has one class only."""
    value, low, high = (row[key] for key in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "–"
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), DIGITS) if known else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
