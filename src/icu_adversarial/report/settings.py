"""The section with the settings and the versions of the software."""

from html import escape
from importlib.metadata import version
from platform import python_version

from icu_adversarial.report.html import Section, details, paragraph, table
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.vega import VEGA_LITE

PACKAGES = (
    *("numpy", "pandas", "scikit-learn", "scipy", "pyarrow", "torch", "optuna"),
    *("altair", "vl-convert-python"),
)


def settings(results: Results) -> Section:
    """All settings of the run, and what it ran with."""
    chosen = [(name, f"{value}") for name, value in results.network["hyperparameters"].items()]
    python = ".".join(python_version().split(".")[:2])
    versions = [("Python", python), *((name, version(name)) for name in PACKAGES)]
    return Section(
        "settings",
        "Settings and versions",
        [
            paragraph(
                "The same data, settings, code and versions give the same results, to the byte. "
                "The file dvc.lock holds the hash of every input, output and part of the code."
            ),
            details(
                "Settings of the network, as the search found them",
                table("Settings of the network", ["setting", "value"], chosen),
            ),
            details("All settings: params.yaml", f"<pre>{escape(results.settings)}</pre>"),
            table(
                "Versions",
                ["software", "version"],
                [*versions, ("Vega-Lite", VEGA_LITE)],
            ),
        ],
    )
