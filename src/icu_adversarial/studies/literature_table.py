"""literature_table: all models in one table, compared with the published numbers.

Reads the metrics of literature, evaluate and train. Writes metrics/literature_table. Costs
seconds.
"""

from typing import Any

from icu_adversarial.config.params import Params
from icu_adversarial.core import paths
from icu_adversarial.core.io import atomic, read_json, write_csv
from icu_adversarial.studies.published import Entry, as_figure, as_markdown

FOLDER = paths.METRICS / "literature_table"
OWN = {
    "logistic_regression": "Logistic regression on summaries",
    "gradient_boosting": "Gradient boosting on summaries",
}


def run(params: Params) -> None:
    """Collect the scores; write the table and the figure."""
    source, entries = params.label, []
    for row, about in params.literature.rows.items():
        result = read_json(paths.METRICS / "literature" / row / "metrics.json")
        differs = "; ".join(about.differs)
        entries.append(
            Entry(about.label, result["folds"], result["test"], about.published, differs)
        )
    scored = read_json(paths.METRICS / "evaluate" / "metrics.json")
    network = read_json(paths.METRICS / "train" / "metrics.json")["hyperparameters"]
    for name in scored["folds"]:
        label = OWN.get(name) or f"This pipeline's network: {describe(network)}"
        entries.append(
            Entry(label, scored["folds"][name], scored["test"][name], None, "never published")
        )
    gains = {OWN.get(name, name): gain for name, gain in scored["difference"].items()}
    figure = as_figure(entries, source).assign(note=scored["warning"] or "")
    write_csv(FOLDER / "plots" / "literature.csv", figure)
    with atomic(FOLDER / "table.md") as temporary:
        page = as_markdown(entries, source, gains, scored["warning"])
        temporary.write_text(page, encoding="utf-8")


def describe(model: dict[str, Any]) -> str:
    """Name a network by its layers, its summaries and its static inputs.

    Args:
        model: The settings of the network.

    Returns:
        For example `CNN-16 + pooled_lstm-64 + FC-32, summaries-128, age, sex, icu_type`.
    """
    parts = [
        ("CNN", model["conv"]),
        (model["architecture"], model["n_lstm"]),
        ("FC", model["n_fc"]),
    ]
    layers = " + ".join(f"{name}-{units}" for name, units in parts if units)
    summary = [f"summaries-{model['n_summary']}"] if model["n_summary"] else []
    return ", ".join([layers, *summary, *model["static_inputs"]])
