"""The metrics of the stage extract, and its warnings."""

import sys
from typing import Any

import pandas as pd

from icu_adversarial.extract.account import SHARE, Account, nested
from icu_adversarial.extract.records import Records


def summary(
    records: Records, coverage: pd.DataFrame, label: str, window_hours: int
) -> dict[str, Any]:
    """What metrics/extract/metrics.json holds.

    Args:
        records: What was read; its events are read to the end.
        coverage: The table of coverage.Coverage.
        label: What figures call the source.
        window_hours: Length of the observation window.

    Returns:
        Numbers of stays, subjects, deaths and events; `rows`: rows read, kept, and left out by
        reason, by table and measurement; `large_shares_left_out`: what `warn` names.
    """
    stays, account = records.stays, records.account
    return {
        "source": label,
        "icu_stays": len(stays),
        "icu_stays_in_icu_until_window_end": int((~(stays["out_hour"] < window_hours)).sum()),
        "excluded": records.excluded,
        "laboratory_values_left_out": account.units,
        "subjects": stays["subject_id"].nunique(),
        "deaths": int(stays["died"].sum()),
        "events": int(coverage["events"].sum()),
        "stays_with": dict(zip(coverage["measurement"], coverage["stays"].tolist(), strict=True)),
        "large_shares_left_out": account.large_shares(),
        "rows": nested(account.table()),
    }


def warn(account: Account) -> None:
    """One line on stderr for each reason that leaves out many rows of a measurement."""
    for entry in account.large_shares():
        print(
            f"warning: {entry['measurement']}: {entry['share']:.1%} of the rows in the window of a"
            f" stay are left out: {entry['reason']} ({entry['rows']:,} of {entry['of']:,} rows;"
            f" the limit is {SHARE:.0%})",
            file=sys.stderr,
        )
