"""What became of every raw row: kept, or left out for one reason.

Every source fills an `Account` while it reads. The stage extract writes it to the metrics and warns
about what a reader of the results must know.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import SupportsInt

import pandas as pd

from icu_adversarial.core.errors import InputError

KEPT = "kept"
NO_STAY = "no stay"
NO_TIME = "null time"
OUTSIDE = "outside the window"
ERROR = "error flag"
NO_NUMBER = "not a number"
UNIT = "wrong unit"
IMPLAUSIBLE = "implausible"
REVISED = "revised later"
MONITORED = "monitor value in the same hour"
DUPLICATE = "duplicate"
UNMAPPED = "unmapped code"
# The first reason that holds is the reason of a row. Only rows in the window of a stay reach ERROR
# and the reasons after it.
REASONS = (
    *(NO_STAY, NO_TIME, OUTSIDE, REVISED, ERROR, NO_NUMBER, UNIT, IMPLAUSIBLE),
    *(MONITORED, DUPLICATE, UNMAPPED),
)
# Real records always have many such rows. They say nothing about the quality of the data.
EXPECTED = frozenset({NO_STAY, OUTSIDE, REVISED, MONITORED, UNMAPPED})
# Names of groups of rows that are no measurement.
OF_STAYS = "(stays)"
OTHER = "(other codes)"
SHARE = 0.05  # of the rows in a stay's window: a reason with a larger share is worth a warning

COLUMNS = ["table", "measurement", "reason", "rows"]
Group = tuple[str, str]  # a table and a measurement


class Account:
    """Rows read, kept and left out by reason, per raw table and measurement.

    Args:
        names: The measurements that are read, in their order.

    Attributes:
        names: The same.
        read: Rows read of each group. A row is counted once, also where the windows of two stays
            contain it.
        rows: Rows of each group by reason; the reason KEPT is one of them.
        units: Laboratory values left out because of their unit, by test and unit.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.read: Counter[Group] = Counter()
        self.rows: Counter[tuple[str, str, str]] = Counter()
        self.units: dict[str, int] = {}

    def add_read(self, table: str, measurement: str, rows: SupportsInt) -> None:
        """Count rows that were read."""
        self.read[table, measurement] += int(rows)

    def add(self, table: str, measurement: str, reason: str, rows: SupportsInt) -> None:
        """Count rows of one reason, or KEPT."""
        if count := int(rows):
            self.rows[table, measurement, reason] += count

    def add_all(self, table: str, measurement: str, rows: SupportsInt) -> None:
        """Count rows that were read and all kept."""
        self.add_read(table, measurement, rows)
        self.add(table, measurement, KEPT, rows)

    def add_unmapped(self, table: str, rows: SupportsInt) -> None:
        """Count rows whose code stands for no measurement.

        Args:
            table: A raw table.
            rows: All rows of the table.
        """
        other = int(rows) - sum(count for (name, _), count in self.read.items() if name == table)
        if other:
            self.add_read(table, OTHER, other)
            self.add(table, OTHER, UNMAPPED, other)

    def add_stays(self, kept: int, excluded: dict[str, int]) -> None:
        """Count the ICU stays: those that are given, and those that the source leaves out."""
        self.add_read("icu stays", OF_STAYS, kept + sum(excluded.values()))
        self.add("icu stays", OF_STAYS, KEPT, kept)
        for reason, count in excluded.items():
            self.add("icu stays", OF_STAYS, reason, count)

    def of(self, table: str, measurement: str, *reasons: str) -> int:
        """Rows of a group that have one of the reasons."""
        return sum(self.rows[table, measurement, reason] for reason in reasons)

    def check(self, raw: Path) -> None:
        """Compare the rows read with those kept and left out, which other queries counted.

        Raises:
            InputError: They differ, because the records changed meanwhile.
        """
        found: Counter[Group] = Counter()
        for (table, measurement, _), count in self.rows.items():
            found[table, measurement] += count
        for group in self.read | found:
            if self.read[group] != found[group]:
                table, measurement = group
                raise InputError(
                    f"{raw}: {table.upper()}: {self.read[group]} rows of {measurement} were read"
                    f" and {found[group]} are accounted for: the records changed while they were"
                    " read: read them again"
                )

    def table(self) -> pd.DataFrame:
        """The account as a table.

        Returns:
            table, measurement, reason, rows: sorted by table, measurement (in column order) and
            reason. For every group the first row has the reason "read", the second KEPT.
        """
        order = {name: number for number, name in enumerate((OF_STAYS, *self.names, OTHER))}
        reasons = {name: number for number, name in enumerate(("read", KEPT, *REASONS))}
        rows = [(*group, "read", count) for group, count in self.read.items()]
        rows += [(*group, KEPT, self.rows[*group, KEPT]) for group in self.read]
        rows += [(*key, count) for key, count in self.rows.items() if key[2] != KEPT]
        rows.sort(key=lambda r: (r[0], order[r[1]], reasons.get(r[2], len(reasons)), r[2]))
        return pd.DataFrame(rows, columns=COLUMNS)

    def shares(self) -> pd.DataFrame:
        """What becomes of the rows of each measurement, over all tables.

        Returns:
            measurement (in column order), reason, rows, and share of the measurement's rows.
        """
        table = self.table()
        table = table[table["measurement"].isin(self.names) & (table["reason"] != "read")]
        names = pd.Categorical(table["measurement"], self.names)
        reasons = pd.Categorical(table["reason"], [KEPT, *REASONS])
        rows = table["rows"].groupby([names, reasons], observed=True).sum()
        rows = rows.rename_axis(["measurement", "reason"]).reset_index()
        return rows.assign(
            share=rows["rows"] / rows.groupby("measurement", observed=True)["rows"].transform("sum")
        )

    def large_shares(self) -> list[dict[str, str | int | float]]:
        """Reasons that leave out more than SHARE of a measurement's rows in the stays' windows.

        Returns:
            One entry per measurement and reason, over all tables: measurement, reason, rows, of
            (rows in a window, also those without a time) and share.
        """
        found: list[dict[str, str | int | float]] = []
        for name in self.names:
            by_reason: Counter[str] = Counter()
            for (_, measurement, reason), count in self.rows.items():
                if measurement == name:
                    by_reason[reason] += count
            of = sum(n for reason, n in by_reason.items() if reason not in (NO_STAY, OUTSIDE))
            found += [
                {
                    "measurement": name,
                    "reason": reason,
                    "rows": by_reason[reason],
                    "of": of,
                    "share": by_reason[reason] / of,
                }
                for reason in REASONS
                if reason not in EXPECTED and by_reason[reason] > SHARE * of
            ]
        return found


def nested(table: pd.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """The table of an account as nested dictionaries: table, measurement, reason → rows."""
    result: dict[str, dict[str, dict[str, int]]] = {}
    rows: Iterable[tuple[str, str, str, int]] = table.itertuples(index=False, name=None)
    for name, measurement, reason, count in rows:
        result.setdefault(name, {}).setdefault(measurement, {})[reason] = int(count)
    return result
