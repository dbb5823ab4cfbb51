"""The section about who is easily flipped, by group of patients."""

from collections.abc import Iterator

from icu_adversarial.analyze import easily_flipped as groups
from icu_adversarial.analyze.groups import DIRECTIONS
from icu_adversarial.report.flipped_charts import (
    CURVES,
    DIVISIONS,
    QUANTITIES,
    curves_chart,
    flipped_rows,
    groups_chart,
)
from icu_adversarial.report.html import (
    FEW,
    Chart,
    Section,
    bullets,
    details,
    heading,
    interval,
    paragraph,
    table,
)
from icu_adversarial.report.inputs import Attack, Results
from icu_adversarial.report.look import WHO, goal


def easily_flipped(results: Results) -> Section:
    """How many and how large changes a flip needs, by group of patients."""
    rows = flipped_rows(results)
    return Section(
        "easily-flipped",
        "Who is easily flipped",
        [
            paragraph(
                "A group is easily flipped if few or small changes of the record turn its "
                "predictions. Patients near the decision threshold are always easier to flip, so "
                "compare groups together with their predicted risk."
            ),
            bullets(
                [
                    "Intervals: 95 %, by drawing patients with replacement.",
                    "A failed attack counts as a change without end. A median is missing if fewer "
                    "than half of the stays are flipped.",
                    "Sum of changes: in model input units, where 1 is the winsorised range of a "
                    "measurement.",
                    "The attack finds a small change, and not always the smallest one. So the "
                    "true shares may be larger.",
                ]
            ),
            Chart(
                "groups-chart",
                groups_chart(rows, results),
                "Number and size of the changes that a flip needs, for each group of patients, "
                "with 95 % intervals. The tables below have the same numbers.",
            ),
            heading("Share of the stays that a small change flips"),
            Chart(
                "curves-chart",
                curves_chart(rows, results),
                "Share of the attacked stays that are flipped with at most so many or so large "
                "changes, for each group of at least 5 patients. Blue: the group, with its 95 % "
                "interval. Dashed orange: all patients. The tables below have the same numbers.",
            ),
            *_tables(results),
        ],
    )


def _tables(results: Results) -> Iterator[str]:
    """The numbers of both charts, for each objective and direction."""
    head = ["group", "patients", "stays", *(name for name in QUANTITIES.values())]
    for objective, attack in results.attacks.items():
        for direction in DIRECTIONS:
            name = f"{goal(objective)}, {results.worded(WHO[direction])}"
            yield details(
                f"What a flip needs: {name}", table(name, head, _needs(attack, direction))
            )
            for quantity, said in CURVES.items():
                rows, points = _shares(attack, direction, quantity)
                title = f"Share flipped with {said}: {name}"
                heads = ["group", *(f"{point:g}" for point in points)]
                yield details(title, table(title, heads, rows))


def _named(division: str, group: str) -> str:
    return group if division == groups.ALL else f"{DIVISIONS[division]}: {group}"


def _needs(attack: Attack, direction: str) -> Iterator[tuple[str, ...]]:
    chosen = attack.flipped[attack.flipped.direction == direction]
    for (division, group), rows in chosen.groupby(["division", "group"], sort=False):
        if rows["quantity"].isna().all():
            yield _named(division, group), FEW, *[""] * (1 + len(QUANTITIES))
            continue
        by_name = rows.set_index("quantity")
        first = rows.iloc[0]
        forms = {groups.FLIPPED: ".0%"}
        yield (
            _named(division, group),
            f"{int(first.patients):,}",
            f"{int(first.stays):,}",
            *(
                interval(*by_name.loc[name, ["value", "low", "high"]], form=forms.get(name, ".3g"))
                for name in QUANTITIES
            ),
        )


def _shares(
    attack: Attack, direction: str, quantity: str
) -> tuple[list[tuple[str, ...]], list[float]]:
    """The rows of a table of a curve, and the points of its columns."""
    flipped = attack.flipped
    chosen = flipped[(flipped.direction == direction) & (flipped["quantity"] == quantity)]
    points = sorted(chosen["at"].unique().tolist())
    rows = [
        (
            _named(division, group),
            *(interval(row.value, row.low, row.high, form=".0%") for row in found.itertuples()),
        )
        for (division, group), found in chosen.groupby(["division", "group"], sort=False)
    ]
    return rows, points
