"""All models' scores in one table, beside the published ones, with what differs."""

from typing import Any, NamedTuple

import pandas as pd

from icu_adversarial.params import Published

SCORES = ("auroc", "auprc", "f1", "precision", "recall")
SHOWN = ("auroc", "auprc")  # on the test set, and in the figure
HELD_OUT, PUBLISHED, LEAK = (
    "held-out test set, 95 % interval",
    "published",
    "LEAK: balanced training stays, ± sd over folds",
)


class Entry(NamedTuple):
    """One model. folds: {score: {mean, sd}}; test: {score: {value, low, high}}, None where the scores are no held-out ones."""

    label: str
    folds: dict[str, dict[str, Any]]
    test: dict[str, dict[str, Any]] | None
    published: Published | None
    differs: str


def as_markdown(entries: list[Entry], source: str) -> str:
    """One line per model: mean ± sd over the folds, the test set with its intervals, the published numbers, and what differs."""
    columns = [*(f"{_name(s)}, folds" for s in SCORES), *(f"{_name(s)}, test" for s in SHOWN)]
    columns += [*(f"{_name(s)}, published" for s in SCORES if s != "auprc"), "what differs"]
    lines = [f"| {' | '.join(['model', *columns])} |", "|" + "---|" * (1 + len(columns))]
    for label, folds, test, published, differs in entries:
        cells = [_pair(folds[s]["mean"], folds[s]["sd"], "{:.3f} ± {:.3f}") for s in SCORES]
        cells += ["none" if test is None else _interval(test[s]) for s in SHOWN]
        reported = [getattr(published, s, None) or (None, None) for s in SCORES if s != "auprc"]
        cells += [_pair(mean, sd, "{:.3f} ({:.3f})") for mean, sd in reported]
        elsewhere = (
            f"data: {source}, theirs {published.data}; "
            if published and published.data != source
            else ""
        )
        lines.append(f"| {' | '.join([label, *cells, elsewhere + differs])} |")
    head = f"# Models beside each other: {source}\n\nFolds: out of fold, mean ± standard deviation; decisions by the threshold of the best F1 on the"
    head += " fold itself, which makes F1 a little too good. Test: the held-out test set, with 95 % bootstrap"
    head += " intervals over subjects. Published: mean (standard deviation) as their authors report them, on other data or other splits: for"
    return f"{head} orientation, not for a contest.\n\n" + "\n".join(lines) + "\n"


def as_figure(entries: list[Entry], source: str) -> pd.DataFrame:
    """Columns model, score, kind, value, low, high, source: SHOWN of every model, and the published AUROC with ± its standard deviation."""
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
    return score.upper() if score.startswith("au") else score.capitalize()


def _pair(mean: float | None, sd: float | None, form: str) -> str:
    return "" if mean is None or sd is None else form.format(mean, sd)


def _interval(score: dict[str, Any]) -> str:
    if score["value"] is None:
        return ""
    low, high = (("?" if score[name] is None else f"{score[name]:.3f}") for name in ("low", "high"))
    return f"{score['value']:.3f} ({low}–{high})"
