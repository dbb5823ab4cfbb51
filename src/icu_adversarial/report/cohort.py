"""The sections about the data: cohort flow and coverage."""

import pandas as pd

from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS
from icu_adversarial.report.html import FEW, Chart, Section, paragraph, table, titled
from icu_adversarial.report.inputs import Results
from icu_adversarial.report.vega import filled

COUNTS = ["order", "stays", "subjects", "deaths", "excluded"]


def cohort_flow(results: Results) -> Section:
    """Which stays each rule keeps."""
    flow = merged(results.cohort)
    rows = [
        (row.step, *(f"{int(getattr(row, name)):,}" for name in COUNTS[1:]))
        for row in flow.itertuples()
    ]
    said = results.worded(
        "Cohort flow: the numbers of stays, patients and deaths after each rule. "
        "The table below has the same numbers."
    )
    head = ["rule", "stays left", "patients left", "deaths left", "stays excluded"]
    return Section(
        "cohort",
        "Cohort flow",
        [
            paragraph(
                "A rule that excludes fewer than 5 stays is shown together with the next one."
            ),
            Chart("cohort-chart", filled("cohort", flow), said),
            table("Cohort flow", [results.worded(name) for name in head], rows),
        ],
    )


def merged(cohort: pd.DataFrame) -> pd.DataFrame:
    """The cohort flow in which each rule excludes no stay, or at least FEWEST_PATIENTS stays.

    Args:
        cohort: The table of the figure, as texts.

    Returns:
        The table, as texts. A rule that excludes fewer is joined with the next one, or with the
        previous one at the end.
    """
    rows: list[dict[str, str]] = []
    waiting: list[dict[str, str]] = []

    def joined(parts: list[dict[str, str]]) -> dict[str, str]:
        excluded = sum(int(part["excluded"]) for part in parts)
        steps = ", ".join(part["step"] for part in parts)
        return parts[-1] | {"step": steps, "excluded": str(excluded)}

    for row in cohort.to_dict("records"):
        waiting.append(row)
        excluded = int(joined(waiting)["excluded"])
        if excluded == 0 or excluded >= FEWEST_PATIENTS:
            rows.append(joined(waiting))
            waiting = []
    if waiting:
        rows = [*rows[:-1], joined([*rows[-1:], *waiting])]
    found = pd.DataFrame(rows, columns=cohort.columns)
    return found.assign(order=[str(place) for place in range(len(found))])


def coverage(results: Results) -> Section:
    """How often each measurement is recorded."""
    shown = results.coverage.assign(measurement=results.coverage.measurement.map(titled))
    few = shown.stays.astype(int).between(1, FEWEST_PATIENTS - 1)
    rows = [
        (
            row.measurement,
            *(
                (FEW, "", "")
                if hidden
                else (
                    f"{int(row.stays):,}",
                    f"{float(row.share):.1%}",
                    f"{float(row.events_per_stay):.3g}",
                )
            ),
            row.remark,
        )
        for row, hidden in zip(shown.itertuples(), few, strict=True)
    ]
    said = (
        "Share of the stays with at least one value of each measurement in the observed hours, "
        "before the rules of the cohort. The table below has the same numbers."
    )
    return Section(
        "coverage",
        "Data coverage",
        [
            Chart("coverage-chart", filled("coverage", shown[~few]), said),
            table(
                "How often each measurement is recorded",
                ["measurement", "stays", "share of stays", "values per stay", "remark"],
                rows,
            ),
        ],
    )
