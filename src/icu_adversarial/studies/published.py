"""All models' scores in one table, compared with the published ones, and what differs."""

from typing import Any, NamedTuple

import pandas as pd

from icu_adversarial.config.literature import Published

SCORES = ("auroc", "auprc", "f1", "challenge_score", "precision", "recall")
REPORTED = ("auroc", "f1", "precision", "recall")  # by the authors
SHOWN = ("auroc", "auprc")  # on the test set, and in the figure
HELD_OUT, PUBLISHED, LEAK = (
    "held-out test set, 95 % interval",
    "published",
    "LEAK: balanced training stays, ± sd over folds",
)
HEAD = (
    "Folds: out of fold, mean ± standard deviation (standard error of the mean, corrected for "
    "overlapping training folds: Nadeau and Bengio 2003). One threshold for all folds has the best "
    "F1 on all out-of-fold stays, which makes their F1 slightly too high. Challenge score: "
    "min(recall, precision), the official score of the Challenge 2012. It has a threshold of its "
    "own, which was chosen on the same stays in the same way. Test: the held-out test set, with "
    "95 % bootstrap intervals over subjects. Calibration error if perfect: what a perfectly "
    "calibrated model would show on as many stays, with 95 % of its values. Published: mean "
    "(standard deviation) as the authors report them, on other data or other splits, for "
    "orientation alone."
)


class Entry(NamedTuple):
    """One model of the table.

    label: Its name.
    folds: {score: {mean, sd, standard_error}}; leaky scores have no standard_error.
    test: {score: {value, low, high}}; None if the scores are not held out.
    published: The published numbers, if there are any.
    differs: What is done differently from the publication.
    """

    label: str
    folds: dict[str, dict[str, Any]]
    test: dict[str, dict[str, Any]] | None
    published: Published | None
    differs: str


def as_markdown(
    entries: list[Entry], source: str, gains: dict[str, dict[str, Any]], warning: str | None
) -> str:
    """Write the page of all models.

    Args:
        entries: The models, one line each.
        source: Which data they were trained and scored on.
        gains: How much higher this pipeline's network scores than another model, by its label:
            {test: {score: {value, low, high}}, folds: {score: {mean, standard_error}}}.
        warning: Why nothing can be concluded from the cohort, if so.

    Returns:
        Markdown: mean ± sd (corrected standard error) over the folds, the test set with its
        intervals, the published numbers, and what differs; then the gains.
    """
    columns = [*(f"{_name(s)}, folds" for s in SCORES), *(f"{_name(s)}, test" for s in SHOWN)]
    columns += ["Calibration error, test", "Calibration error if perfect"]
    columns += [*(f"{_name(s)}, published" for s in REPORTED), "what differs"]
    lines = [f"| {' | '.join(['model', *columns])} |", "|" + "---|" * (1 + len(columns))]
    for label, folds, test, published, differs in entries:
        cells = [_folds(folds[s]) for s in SCORES]
        shown = (*SHOWN, "calibration_error", "calibration_error_if_perfect")
        cells += ["none" if test is None else _interval(test[s]) for s in shown]
        reported = [getattr(published, s, None) or (None, None) for s in REPORTED]
        cells += [_pair(mean, sd, "{:.3f} ({:.3f})") for mean, sd in reported]
        elsewhere = (
            f"data: {source}, theirs {published.data}; "
            if published and published.data != source
            else ""
        )
        lines.append(f"| {' | '.join([label, *cells, elsewhere + differs])} |")
    parts = [f"# Models compared: {source}", f"**Warning:** {warning}." if warning else "", HEAD]
    parts += ["\n".join(lines), *(_gain(label, gain) for label, gain in gains.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _gain(label: str, gain: dict[str, Any]) -> str:
    """One sentence on the paired difference to one model."""
    parts = []
    for score in SHOWN:
        mean, error = (gain["folds"][score][name] for name in ("mean", "standard_error"))
        over = _pair(mean, error, "{:+.3f} (standard error {:.3f})")
        on_test = _interval(gain["test"][score], "+.3f", " to ") or "not defined"
        parts.append(f"{_name(score)} {on_test} on the test set, {over} over the folds")
    return f"This pipeline's network minus {label}, on the same stays: {'; '.join(parts)}."


def as_figure(entries: list[Entry], source: str) -> pd.DataFrame:
    """Make the table of the figure.

    Args:
        entries: The models.
        source: Which data they were trained and scored on.

    Returns:
        model, score, kind, value, low, high, source: SHOWN of every model, and the published AUROC
        plus and minus its standard deviation.
    """
    rows = []
    for entry in entries:
        for score in SHOWN:
            if entry.test is None:
                mean, sd = entry.folds[score]["mean"], entry.folds[score]["sd"]
                rows.append((entry.label, _name(score), LEAK, mean, mean - sd, mean + sd))
            else:
                rows.append(
                    (
                        entry.label,
                        _name(score),
                        HELD_OUT,
                        *(entry.test[score][name] for name in ("value", "low", "high")),
                    )
                )
        if entry.published and entry.published.auroc:
            mean, sd = entry.published.auroc
            rows.append((entry.label, "AUROC", PUBLISHED, mean, mean - sd, mean + sd))
    return pd.DataFrame(rows, columns=["model", "score", "kind", "value", "low", "high"]).assign(
        source=source
    )


def _name(score: str) -> str:
    return score.upper() if score.startswith("au") else score.replace("_", " ").capitalize()


def _pair(mean: float | None, sd: float | None, form: str) -> str:
    return "" if mean is None or sd is None else form.format(mean, sd)


def _folds(score: dict[str, Any]) -> str:
    text = _pair(score["mean"], score["sd"], "{:.3f} ± {:.3f}")
    error = score.get("standard_error")
    return text if error is None else f"{text} ({error:.3f})"


def _interval(score: dict[str, Any], form: str = ".3f", to: str = "–") -> str:
    if score["value"] is None:
        return ""
    low, high = (
        "?" if score[name] is None else f"{score[name]:{form}}" for name in ("low", "high")
    )
    return f"{score['value']:{form}} ({low}{to}{high})"
