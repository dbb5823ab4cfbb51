"""Print a page of results from the metrics of the last run: models, calibration and attacks.

dvc exp run -S extract.source=challenge2012 -S extract.raw=PATH -S tune_model.trials=0
python benchmarks/results_page.py "THE COMMAND" > docs/results/challenge2012.md

It reads metrics/preprocess, metrics/evaluate and metrics/analyze of the run, and names the commit.
"""

import argparse
import csv
import json
import subprocess
from pathlib import Path
from typing import Any

SCORES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "challenge_score": "Challenge score",
    "brier": "Brier score",
}
DIRECTIONS = {
    "0_to_1": "0→1, survivors predicted to die",
    "1_to_0": "1→0, deaths predicted to survive",
}
OBJECTIVES = ("robust_l1", "robust_l0")
SHOWN = 5  # measurements with ranks, of each objective and direction


def read(*parts: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("metrics", *parts, "metrics.json").read_text())
    return content


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def interval(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f}–{score['high']:.3f})"


def models(found: dict[str, Any]) -> str:
    head = ["model", *(f"{name}, test (95 % interval)" for name in SCORES.values())]
    head += [f"{SCORES[score]}, folds ± standard error" for score in ("auroc", "auprc")]
    rows = []
    for name, test in found["test"].items():
        folds = [found["folds"][name][score] for score in ("auroc", "auprc")]
        means = [f"{s['mean']:.3f} ± {s['standard_error']:.3f}" for s in folds]
        rows.append([name.replace("_", " "), *(interval(test[s]) for s in SCORES), *means])
    return table(head, rows)


def differences(found: dict[str, Any]) -> str:
    rows = []
    for name, both in found["difference"].items():
        for score in ("auroc", "auprc"):
            folds = both["folds"][score]
            cells = [interval(both["test"][score])]
            cells.append(f"{folds['mean']:.3f} ± {folds['standard_error']:.3f}")
            rows.append([f"network − {name.replace('_', ' ')}", SCORES[score], *cells])
    head = ["difference", "score", "test (95 % interval)", "folds ± standard error"]
    return table(head, rows)


def calibration(found: dict[str, Any]) -> str:
    rows = []
    for name, both in found["calibration"].items():
        after = both["test"]["after"]
        cells = (both["test"]["before"]["calibration_error"], after["calibration_error"])
        perfect = after["calibration_error_if_perfect"]
        rows.append([name.replace("_", " "), *(f"{value:.3f}" for value in (*cells, perfect))])
    return table(["model", "before", "after", "a perfect model of this size"], rows)


def attacks() -> str:
    rows = []
    for objective in OBJECTIVES:
        found = read("analyze", objective)
        for key, label in DIRECTIONS.items():
            best, stays = found[key]["best"], found[key]["attacked"]
            medians = [f"{best[f'median_{norm}']:.3g}" for norm in ("l0", "l1", "linf")]
            cells = [f"{best['success_rate']:.1%}", *medians, f"{best['sum_a']:.3g}"]
            cap = f"{best['capped_examples']:.0%} (cap {found['cap']:g})"
            rows.append([objective, label, f"{stays}", *cells, cap, best["top_measurement"]])
    head = ["objective", "direction", "stays", "flipped", "median cells", "median L1", "median L∞"]
    return table([*head, "sum of A", "examples at the cap", "largest A"], rows)


def ranks() -> str:
    """The measurements with the largest A, and their ranks by the model of each fold."""
    rows = []
    for objective in OBJECTIVES:
        file = Path("metrics", "analyze", objective, "plots", "ranking.csv")
        table_rows = [r for r in csv.DictReader(file.open()) if r["kind"] == "best"]
        for direction in ("0→1", "1→0"):
            own = [r for r in table_rows if r["direction"] == direction]
            pooled = [r for r in own if r["fold"] == "all" and r["known"] == "1"]
            for row in sorted(pooled, key=lambda r: float(r["rank"]))[:SHOWN]:
                same = [r for r in own if r["measurement"] == row["measurement"]]
                folds = ", ".join(f"{float(r['rank']):g}" for r in same if r["fold"] != "all")
                low, high = (float(row[f"rank_{end}"]) for end in ("low", "high"))
                a = ", ".join(f"{float(row[k] or 'nan'):.3g}" for k in ("a", "a_low", "a_high"))
                cells = [row["measurement"], a, f"{float(row['rank']):g} ({low:g}–{high:g})", folds]
                rows.append([objective, direction, *cells])
    head = ["objective", "direction", "measurement", "A, low, high", "rank (set)", "rank by fold"]
    return table(head, rows)


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", help="the command that made the metrics, for the page")
    command = parser.parse_args().command
    cohort, found = read("preprocess"), read("evaluate")
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    warning = [f"**Warning:** {found['warning']}."] if found["warning"] else []
    parts = [
        f"# Results: {found['source']}",
        f"Commit `{commit}`. This page is the output of `python benchmarks/results_page.py COMMAND` "
        "after the COMMAND",
        f"```\n{command}\n```",
        f"{cohort['stays']} stays, {cohort['prevalence']:.1%} deaths; {cohort['test_stays']} stays "
        f"with {cohort['test_deaths']} deaths are the test set.",
        *warning,
        "## Models",
        models(found),
        "Folds: mean over the folds, with the standard error that Nadeau and Bengio (2003) correct "
        "for overlapping training sets. Challenge score: min(sensitivity, positive predictive "
        "value), at the threshold that is best on the training stays, out of fold.",
        differences(found),
        "## Calibration error on the test set",
        calibration(found),
        "## Attacks, best examples",
        attacks(),
        "Medians are over the flipped stays, in model input units: 1 is the distance from the "
        "lower to the upper percentile of a measurement. Sum of A: mean change per attacked stay, "
        "over all cells. Half of each direction is attacked where possible, whatever the share of "
        "deaths. At the cap: examples of which a cell moves as far as the attack allows.",
        "## Ranks",
        ranks(),
        "Rank by fold: by the network of each fold alone. Set: see `metrics/analyze/*/report.md`.",
    ]
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
