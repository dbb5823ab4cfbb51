"""The sections about the attack: its numbers, and the susceptibility of each measurement."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from icu_adversarial.analyze.groups import DIRECTIONS
from icu_adversarial.analyze.report import covers
from icu_adversarial.analyze.susceptibility import FEWEST_PATIENTS
from icu_adversarial.report.html import (
    FEW,
    Chart,
    Section,
    bullets,
    details,
    heading,
    interval,
    number,
    paragraph,
    table,
    titled,
)
from icu_adversarial.report.inputs import Attack, Results
from icu_adversarial.report.look import WHO, goal
from icu_adversarial.report.maps import STATISTICS, map_chart
from icu_adversarial.report.vega import filled

SPACES = {
    "record": "It changes recorded values alone. The model then reads what preprocessing makes of "
    "the changed record, so that a change also moves the hours that are filled from it.",
    "grid": "It changes any measurement in any hour, also in hours where nobody measured it.",
}
CELLS = 10  # of a table, for each objective and direction


def block(attack: Attack, direction: str) -> dict[str, Any]:
    """The numbers of one direction in attack.json."""
    found: dict[str, Any] = attack.numbers[direction.replace("→", "_to_")]
    return found


def summary(results: Results) -> Section:
    """How many predictions were changed, and by how much."""
    rows = [
        (
            goal(objective),
            results.worded(WHO[direction]),
            f"{block(attack, direction)['attacked']:,}",
            number(block(attack, direction)["best"]["success_rate"], ".1%"),
            *(
                number(block(attack, direction)["best"][f"median_{norm}"])
                for norm in ("l0", "l1", "linf")
            ),
            number(block(attack, direction)["best"]["capped_examples"], ".1%"),
        )
        for objective, attack in results.attacks.items()
        for direction in DIRECTIONS
    ]
    head = ["goal of the attack", "who", "attacked stays", "flipped"]
    head += ["median changed values", "median sum of changes", "median largest change"]
    return Section(
        "attack",
        "Attack summary",
        [
            paragraph(
                "The attack searches a small change of the record that turns the prediction.",
                SPACES[results.space],
                "Every change is checked again with the model.",
            ),
            bullets(
                [
                    "A stay is attacked only if the model predicts it correctly, unless the "
                    "settings say otherwise.",
                    "The size of a change is in model input units. 1 is the winsorised range of a "
                    "measurement, from its lower to its upper percentile.",
                    "The medians are over the flipped stays.",
                    "At the cap: share of the flipped stays with a change as large as is allowed.",
                ]
            ),
            table("Results of the attack", [*head, "at the cap"], rows),
        ],
    )


def maps(results: Results) -> Section:
    """Which measurement at which hour."""
    models = max(
        block(attack, direction)["models"]
        for attack in results.attacks.values()
        for direction in DIRECTIONS
    )
    return Section(
        "maps",
        "Maps: which measurement, at which hour",
        [
            paragraph(
                "A strong colour means: the predictions often depend on this value, so an error in "
                "it matters. Point at a cell, or choose it with the last two controls, to read its "
                "numbers.",
                f"A cell that is changed in fewer than {FEWEST_PATIENTS} patients is grey.",
                covers(models),
            ),
            details("What the statistics mean", bullets(STATISTICS.values())),
            Chart(
                "map-chart",
                map_chart(results),
                "Map of the hours (columns) and measurements (rows). Both directions have the same "
                "colours, on a square-root scale, which shows differences between small values. "
                f"The tables below have the {CELLS} cells with the largest A.",
            ),
            *_cells(results),
            heading("Measurements, over all hours"),
            *_rankings(results),
            *_measurements(results),
        ],
    )


def _groups(results: Results) -> Iterator[tuple[str, str, Attack]]:
    """Goal and direction as words, the direction, and the attack."""
    for objective, attack in results.attacks.items():
        for direction in DIRECTIONS:
            yield f"{goal(objective)}, {results.worded(WHO[direction])}", direction, attack


def _cells(results: Results) -> Iterator[str]:
    """The cells with the largest A, as tables."""
    head = ["measurement", "hours from ICU admission", "A (95 % interval)", "patients"]
    for name, direction, attack in _groups(results):
        cells = attack.cells
        shown = cells[(cells.direction == direction) & (cells.patients >= FEWEST_PATIENTS)]
        top = shown.sort_values(["a", "hour"], ascending=[False, True], kind="stable")[:CELLS]
        rows = [
            (
                titled(row.measurement),
                f"{row.hour} to {row.end_hour}",
                interval(row.a, row.a_low, row.a_high),
                f"{row.patients}",
            )
            for row in top.itertuples()
        ]
        yield details(f"Cells with the largest A: {name}", table(name, head, rows))


def _rankings(results: Results) -> Iterator[Chart]:
    """The measurements by A, a figure for each objective."""
    for objective, attack in results.attacks.items():
        yield Chart(
            f"ranking-{objective}",
            filled("ranking", _ranking(attack), kind="best"),
            "Measurements by A, the mean change per attacked stay, with the goal "
            f"{goal(objective)}. The tables below have the same numbers. Measurements that are "
            f"changed in fewer than {FEWEST_PATIENTS} patients are left out.",
        )


def _ranking(attack: Attack) -> pd.DataFrame:
    """The table of the ranking figure, without measurements that too few patients have."""
    best = attack.ranking[attack.ranking.kind == "best"]
    pooled = best[(best.fold == "all") & (best.known == "1")]
    few = pooled[pd.to_numeric(pooled.patients) < FEWEST_PATIENTS]
    place = ["direction", "measurement"]
    hidden = pd.MultiIndex.from_frame(best[place]).isin(pd.MultiIndex.from_frame(few[place]))
    shown = best[~hidden & (pd.to_numeric(best.attacked) >= FEWEST_PATIENTS)]
    return shown.assign(measurement=shown.measurement.map(titled))


def _measurements(results: Results) -> Iterator[str]:
    """A of each measurement, as tables."""
    head = ["measurement", "rank (set)", "A (95 % interval)", "patients"]
    for name, direction, attack in _groups(results):
        ranking = attack.ranking
        mine = ranking[
            (ranking.direction == direction)
            & (ranking.kind == "best")
            & (ranking.fold == "all")
            & (ranking.known == "1")
        ]
        numbers = mine.assign(
            **{
                column: pd.to_numeric(mine[column])
                for column in ("rank", "rank_low", "rank_high", "a", "a_low", "a_high", "patients")
            }
        ).sort_values("rank", kind="stable")
        rows = [_measurement(row) for row in numbers.itertuples()]
        yield details(f"All measurements: {name}", table(name, head, rows))


def _measurement(row: Any) -> tuple[str, ...]:
    name = titled(row.measurement)
    if row.patients < FEWEST_PATIENTS:
        return name, "", FEW, ""
    sets = f"{number(row.rank, '.0f')} ({number(row.rank_low, '.0f')} to "
    return (
        name,
        f"{sets}{number(row.rank_high, '.0f')})",
        interval(row.a, row.a_low, row.a_high),
        f"{row.patients:,}",
    )
